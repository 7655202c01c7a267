//! The network as this host reaches it, by the tools that every administrator would take: `ping` and `arping`.

use std::net::{SocketAddr, TcpStream};
use std::panic::resume_unwind;
use std::process::{Command, Output, Stdio};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use pvecm_core::fitness::{Large, Measured};

use crate::ports::{Network, Survey, Way};

/// Enough that five packets lost of a hundred are seen (two of two hundred or fewer are in one case of 400), within
/// less than a second.
const REQUESTS: u32 = 200;
const EVERY: &str = "0.003";
/// Seconds that the last answer may take.
const ANSWER_WITHIN: &str = "0.5";
/// What is tried where packets that fill the card's MTU are lost, in bytes: usual MTUs.
const LADDER: [u32; 6] = [4000, 1500, 1492, 1450, 1400, 1280];

/// So long a TCP connection may take: longer than a packet that has to be sent again.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// This host's network cards.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cards;

impl Network for Cards {
    fn survey(&self, ways: &[Way<'_>], own: &[Way<'_>]) -> Survey {
        thread::scope(|scope| {
            let claimed = scope.spawn(|| side_by_side(own, claimed_by_another));
            let ways = side_by_side(ways, measure);
            Survey { ways, claimed: joined(claimed) }
        })
    }

    fn answers(&self, at: SocketAddr) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let connected = TcpStream::connect_timeout(&at, CONNECT_WITHIN);
            connected.map(drop).map_err(|error| error.to_string())
        }
        .boxed()
    }
}

/// Each silence is waited out.
fn side_by_side<A: Sync, T: Send>(all: &[A], ask: impl Fn(&A) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let asked: Vec<_> = all.iter().map(|one| scope.spawn(|| ask(one))).collect();
        asked.into_iter().map(joined).collect()
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn measure(way: &Way<'_>) -> Result<Measured, String> {
    let small = ping(way, &["-i", EVERY, "-c", &REQUESTS.to_string()])?;
    if small.is_empty() {
        return Ok(Measured { sent: REQUESTS, round_trips_us: small, large: None });
    }
    // After it: where answers come to every socket that asks by this card, large ones take the room of small ones,
    // and a host that is merely busy would be told to lose packets.
    Ok(Measured { sent: REQUESTS, round_trips_us: small, large: Some(large(way)?) })
}

fn large(way: &Way<'_>) -> Result<Large, String> {
    let card = cards()?.into_iter().find(|card| card.name == way.card);
    let card = card.ok_or_else(|| format!("the MTU of {} is not known", way.card))?;
    // A loopback says more than a packet can have.
    let mtu = card.mtu.min(u32::from(u16::MAX));
    let passes = |bytes: u32| {
        // The headers of IP and of the echo request.
        let payload = bytes.saturating_sub(if way.address.is_ipv4() { 28 } else { 48 }).to_string();
        let whole = ["-M", "do", "-s", &payload, "-i", "0.1", "-c", "3"];
        ping(way, &whole).is_ok_and(|answers| !answers.is_empty()).then_some(bytes)
    };
    if let Some(passes) = passes(mtu) {
        return Ok(Large { mtu, passes: Some(passes) });
    }
    let smaller: Vec<u32> = LADDER.into_iter().filter(|bytes| *bytes < mtu).collect();
    let passes = side_by_side(&smaller, |bytes| passes(*bytes)).into_iter().flatten().max();
    Ok(Large { mtu, passes })
}

/// The answers' round trips in microseconds.
fn ping(way: &Way<'_>, how: &[&str]) -> Result<Vec<u32>, String> {
    // Bound to the card: the kernel would otherwise take any other way that leads there.
    let mut ping = Command::new("ping");
    ping.args(["-n", "-I", way.card, "-W", ANSWER_WITHIN]).args(how).arg(way.address.to_string());
    let output = run(ping)?;
    match output.status.code() {
        // 1: not all were answered.
        Some(0 | 1) => Ok(round_trips(&String::from_utf8_lossy(&output.stdout))),
        _ => Err(format!("no request leaves by {}: {}", way.card, said(&output))),
    }
}

/// What `ping` prints of each answer; a second answer to one request counts for nothing.
fn round_trips(printed: &str) -> Vec<u32> {
    let of = |line: &str| {
        let millis = line.split_once(" time=")?.1.split_whitespace().next()?;
        let (whole, part) = millis.split_once('.').unwrap_or((millis, ""));
        let micros = format!("{part:0<3}");
        whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(micros.get(..3)?.parse().ok()?)
    };
    printed.lines().filter(|line| !line.contains("(DUP!)")).filter_map(of).collect()
}

/// The probe for a duplicate address (RFC 5227): whoever answers has it. A machine that has two cards in one
/// network hears itself. On a card without ARP, a tunnel's say, there is nobody to ask: `arping` ends well then.
fn claimed_by_another(own: &Way<'_>) -> Result<Option<String>, String> {
    // The kernel asks for itself before it uses an address of IPv6.
    if own.address.is_ipv6() {
        return Ok(None);
    }
    let mut arping = Command::new("arping");
    arping.args(["-D", "-I", own.card, "-c", "1", "-w", "1"]).arg(own.address.to_string());
    let output = run(arping)?;
    // 1: somebody answered.
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(format!("no probe leaves by {}: {}", own.card, said(&output)));
    }
    let cards = cards()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let is_own = |hardware: &String| cards.iter().any(|card| card.hardware == *hardware);
    Ok(answered(&printed).find(|hardware| !is_own(hardware)))
}

/// The addresses of the cards that answered.
fn answered(printed: &str) -> impl Iterator<Item = String> {
    let of = |line: &str| {
        Some(
            line.split_once(" reply from ")?.1.split_once('[')?.1.split_once(']')?.0.to_lowercase(),
        )
    };
    printed.lines().filter_map(of)
}

/// A network card of this host.
#[derive(Debug, PartialEq, Eq)]
struct Card {
    name: String,
    mtu: u32,
    hardware: String,
}

fn cards() -> Result<Vec<Card>, String> {
    let mut ip = Command::new("ip");
    ip.args(["-o", "link", "show"]);
    let output = run(ip)?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(card).collect())
}

/// A line of `ip -o link show`.
fn card(line: &str) -> Option<Card> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |found: &dyn Fn(&str) -> bool| {
        words.iter().position(|word| found(word)).and_then(|at| words.get(at + 1))
    };
    // One end of a cable within the machine names the other behind an @.
    let name = words.get(1)?.trim_end_matches(':').split('@').next()?;
    Some(Card {
        name: name.to_owned(),
        mtu: after(&|word| word == "mtu")?.parse().ok()?,
        hardware: after(&|word| word.starts_with("link/"))?.to_lowercase(),
    })
}

fn run(mut tool: Command) -> Result<Output, String> {
    let name = tool.get_program().to_string_lossy().into_owned();
    // Their words and points are those of the language that is set.
    tool.env("LC_ALL", "C").stdin(Stdio::null());
    tool.output().map_err(|error| format!("cannot run {name}: {error}"))
}

fn said(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    words.lines().next().unwrap_or("it says nothing").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_read_as_ping_prints_them() {
        let printed = "PING 10.0.0.2 (10.0.0.2) from 10.0.0.1 eth0: 56(84) bytes of data.\n\
            64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.045 ms\n\
            64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.051 ms (DUP!)\n\
            64 bytes from 10.0.0.2: icmp_seq=2 ttl=64 time=12.3 ms\n\
            From 10.0.0.1 icmp_seq=3 Destination Host Unreachable\n\
            64 bytes from 10.0.0.2: icmp_seq=4 ttl=64 time=1003 ms\n\n\
            --- 10.0.0.2 ping statistics ---\n\
            4 packets transmitted, 3 received, 25% packet loss, time 6ms\n";
        assert_eq!(round_trips(printed), [45, 12_300, 1_003_000]);
        assert!(round_trips("").is_empty());
    }

    #[test]
    fn who_has_an_address_is_read_as_arping_prints_it() {
        let printed = "ARPING 10.0.0.3 from 0.0.0.0 eth1\n\
            Unicast reply from 10.0.0.3 [02:AB:cd:00:00:01]  0.612ms\n\
            Sent 1 probes (1 broadcast(s))\nReceived 1 response(s)\n";
        assert_eq!(answered(printed).collect::<Vec<_>>(), ["02:ab:cd:00:00:01"]);
    }

    #[test]
    fn cards_are_read_as_ip_prints_them() {
        let line = "4: net1@if5: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen \
                    1000\\    link/ether 02:AB:cd:00:00:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0";
        let net1 =
            Card { name: "net1".to_owned(), mtu: 1500, hardware: "02:ab:cd:00:00:01".to_owned() };
        assert_eq!(card(line), Some(net1));
        assert_eq!(card(""), None);
    }

    /// The machine itself, by its loopback: the real tool, with its real words.
    #[test]
    fn this_machine_is_reached_without_loss() {
        let way = Way { card: "lo", address: "127.0.0.1".parse().unwrap() };
        let measured = measure(&way).unwrap();
        assert_eq!((measured.sent, measured.round_trips_us.len()), (REQUESTS, REQUESTS as usize));
        let whole = measured.large.unwrap();
        assert_eq!(whole.passes, Some(whole.mtu));
        let nowhere = measure(&Way { card: "no-card", ..way }).unwrap_err();
        assert!(nowhere.starts_with("no request leaves by no-card: "), "{nowhere}");
        assert_eq!(claimed_by_another(&way), Ok(None), "it has no ARP");
        let unasked = claimed_by_another(&Way { card: "no-card", ..way }).unwrap_err();
        assert!(unasked.starts_with("no probe leaves by no-card: "), "{unasked}");
        let unknown = large(&Way { card: "no-card", ..way }).unwrap_err();
        assert_eq!(unknown, "the MTU of no-card is not known");
    }
}
