//! Waiting for conditions with a deadline: the only way in which the lab waits.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL: Duration = Duration::from_millis(50);

/// Polls `look` until it returns `Ok(value)`; the error of the last look says what was seen
/// instead, and stands in the message when `deadline` passes.
pub fn wait_until<T>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() >= end => {
                bail!("waited {:.1} s for {what}; last seen: {seen}", deadline.as_secs_f64())
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_holds_at_once_is_returned_at_once() {
        let began = Instant::now();
        assert_eq!(wait_until(Duration::from_secs(5), "one", || Ok(1)).unwrap(), 1);
        assert!(began.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn the_message_says_what_was_wanted_and_what_was_last_seen() {
        let mut looks = 0;
        let error = wait_until(Duration::from_millis(60), "a member", || {
            looks += 1;
            Err::<(), _>(format!("look {looks}"))
        })
        .unwrap_err()
        .to_string();
        assert_eq!(error, format!("waited 0.1 s for a member; last seen: look {looks}"));
        assert!(looks >= 2);
    }
}
