//! The network as this host reaches it.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use ping::{Pinger, Request, SocketType};

use crate::ports::Network;

/// Three requests: one lost packet says nothing about a network.
const TRIES: u16 = 3;
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// This host's network cards.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cards;

impl Network for Cards {
    fn answers(&self, asks: &[(&str, IpAddr)]) -> Vec<Result<(), String>> {
        thread::scope(|scope| {
            let ask = |(card, peer): &(&'_ str, IpAddr)| {
                let (card, peer) = ((*card).to_owned(), *peer);
                scope.spawn(move || answers(&card, peer))
            };
            let asked: Vec<_> = asks.iter().map(ask).collect();
            let told = |thread: thread::ScopedJoinHandle<'_, _>| {
                let panicked = || Err("a request to another host panicked".to_owned());
                thread.join().unwrap_or_else(|_| panicked())
            };
            asked.into_iter().map(told).collect()
        })
    }
}

fn answers(card: &str, peer: IpAddr) -> Result<(), String> {
    // Bound to the card: the kernel would otherwise take any other way that leads there.
    let pinger = Pinger::builder().socket_type(SocketType::RAW).bind_device(card).build();
    let mut pinger = pinger.map_err(|error| format!("no request leaves by {card}: {error}"))?;
    let mut said = String::new();
    for seq in 1..=TRIES {
        match pinger.ping(Request::new(peer).seq(seq), ANSWER_WITHIN) {
            Ok(_) => return Ok(()),
            Err(error) => said = error.to_string(),
        }
    }
    Err(format!("{TRIES} echo requests by {card} stayed without an answer ({said})"))
}
