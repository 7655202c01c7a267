//! What names of nodes resolve to on this machine.
//!
//! A name server that does not answer is waited for for seconds, and the loop may not wait: whoever asks
//! gets the last answer, and another one is fetched beside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// What decides about names on this machine; name servers may say something else without any of it moving.
const FILES: [&str; 3] = ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"];
const ASK_AGAIN: Duration = Duration::from_secs(600);

/// Names, and what each of them resolves to.
type Resolved = BTreeMap<String, BTreeSet<IpAddr>>;

/// The last answer, and what it was an answer to.
#[derive(Debug, Default)]
pub(super) struct Resolver(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    asked: Option<(Question, Instant)>,
    resolved: Resolved,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    names: BTreeSet<String>,
    files: [Option<SystemTime>; 3],
}

impl Resolver {
    /// The addresses of these names as they were told last; of one that is missing nobody has told yet.
    pub fn resolved(&self, names: BTreeSet<String>) -> Resolved {
        let changed = |path: &&str| fs::metadata(*path).and_then(|file| file.modified()).ok();
        let files = FILES.each_ref().map(changed);
        self.ask(Question { names, files }, resolve)
    }

    fn ask(
        &self,
        question: Question,
        resolve: impl Fn(&str) -> BTreeSet<IpAddr> + Send + 'static,
    ) -> Resolved {
        let mut told = lock(&self.0);
        let is_told =
            |(known, at): &(Question, Instant)| *known == question && at.elapsed() < ASK_AGAIN;
        if !told.asked.as_ref().is_some_and(is_told) {
            told.asked = Some((question.clone(), Instant::now()));
            let told = Arc::clone(&self.0);
            thread::spawn(move || {
                let names = question.names.iter();
                let resolved = names.map(|name| (name.clone(), resolve(name))).collect();
                let mut told = lock(&told);
                // What was asked since then has an answer of its own.
                if told.asked.as_ref().is_some_and(|(last, _)| *last == question) {
                    told.resolved = resolved;
                }
            });
        }
        told.resolved.clone()
    }
}

fn lock(told: &Mutex<Told>) -> std::sync::MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that nobody knows, and one of which no server answers, both lead nowhere.
#[must_use]
pub fn resolve(name: &str) -> BTreeSet<IpAddr> {
    let found = (name, 0).to_socket_addrs().into_iter().flatten();
    found.map(|address| address.ip()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(names: &[&str]) -> Question {
        Question { names: names.iter().map(|name| (*name).to_owned()).collect(), files: [None; 3] }
    }

    fn all_to(address: &'static str) -> impl Fn(&str) -> BTreeSet<IpAddr> {
        move |_| BTreeSet::from([address.parse().unwrap()])
    }

    fn wait_for(resolver: &Resolver, names: &[&str], want: &str) {
        let to = |name: &&str| ((*name).to_owned(), BTreeSet::from([want.parse().unwrap()]));
        let want: Resolved = names.iter().map(to).collect();
        let end = Instant::now() + Duration::from_secs(10);
        while resolver.ask(question(names), |_| BTreeSet::new()) != want {
            assert!(Instant::now() < end, "no answer");
            thread::yield_now();
        }
    }

    #[test]
    fn whoever_asks_gets_the_last_answer_and_another_question_another_one() {
        let resolver = Resolver::default();
        assert_eq!(resolver.ask(question(&["n1"]), all_to("10.0.0.1")), Resolved::new());
        wait_for(&resolver, &["n1"], "10.0.0.1");
        // The old answer until there is a new one.
        assert_eq!(resolver.ask(question(&["n1", "n2"]), all_to("10.0.0.9")).len(), 1);
        wait_for(&resolver, &["n1", "n2"], "10.0.0.9");
    }

    #[test]
    fn a_late_answer_to_an_old_question_is_not_taken() {
        let resolver = Resolver::default();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let late = move |_: &str| {
            let _gone = wait.recv();
            BTreeSet::from(["10.0.0.1".parse().unwrap()])
        };
        assert_eq!(resolver.ask(question(&["old"]), late), Resolved::new());
        resolver.ask(question(&["new"]), all_to("10.0.0.2"));
        wait_for(&resolver, &["new"], "10.0.0.2");
        drop(go);
        let until = Instant::now() + Duration::from_millis(50);
        while Instant::now() < until {
            wait_for(&resolver, &["new"], "10.0.0.2");
        }
    }

    #[test]
    fn the_loopback_name_is_found_and_no_name_at_all_is_not() {
        assert!(resolve("localhost").iter().all(IpAddr::is_loopback));
        assert!(resolve("no such name").is_empty());
    }
}
