//! What happened, as one number that two runs of a seed share, and in words when somebody reads.

/// The steps of a run.
#[derive(Debug, Clone)]
pub struct Trace {
    hash: u64,
    steps: u64,
    words: Option<Vec<String>>,
}

impl Trace {
    /// An empty trace; with words only when asked for, because they cost more than the run.
    #[must_use]
    pub fn new(words: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, steps: 0, words: words.then(Vec::new) }
    }

    /// Notes a step: when, what, where.
    pub fn note(
        &mut self,
        (now, what, at): (u64, &'static str, u64),
        words: impl FnOnce() -> String,
    ) {
        self.steps += 1;
        let bytes = now.to_le_bytes().into_iter().chain(at.to_le_bytes()).chain(what.bytes());
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(lines) = &mut self.words {
            lines.push(format!("{now:>8} {:>3} {what} {}", at + 1, words()));
        }
    }

    /// The number of the whole run.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// How many steps there were.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The words, if they were kept.
    #[must_use]
    pub fn words(&self) -> &[String] {
        self.words.as_deref().unwrap_or_default()
    }
}
