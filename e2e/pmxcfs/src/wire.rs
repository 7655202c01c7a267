//! The messages of the process group and their form on the wire.
//!
//! Owns encoding and the cutting into pieces. Never sends anything and knows no membership.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::merge::{Member, Standing};
use crate::tree::{Op, Tree};

/// Content of one piece, bytes: well below corosync's largest message (1 047 552), which a whole file is above.
const PIECE: usize = 256 * 1024;
/// In front of every piece: magic, message number, index, count.
const HEADER: usize = 16;
const MAGIC: [u8; 4] = *b"PSI1";

/// What members tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Sent by everybody after a change of the membership `view`.
    State { view: Vec<Member>, standing: Standing },
    /// The leader's whole tree.
    Tree(Tree),
    /// A change; `ticket` is the sender's own number for it, `time` its clock in Unix seconds.
    Op { ticket: u64, time: u64, op: Op },
}

impl Message {
    /// The message as pieces that corosync can carry; `number` tells the sender's messages apart.
    pub fn pieces(&self, number: u32) -> Result<Vec<Vec<u8>>, postcard::Error> {
        let bytes = postcard::to_stdvec(self)?;
        let count = u32::try_from(bytes.len().div_ceil(PIECE)).unwrap_or(u32::MAX);
        let piece = |(index, content): (u32, &[u8])| {
            let mut piece = Vec::with_capacity(HEADER + content.len());
            piece.extend_from_slice(&MAGIC);
            for field in [number, index, count] {
                piece.extend_from_slice(&field.to_le_bytes());
            }
            piece.extend_from_slice(content);
            piece
        };
        Ok((0..).zip(bytes.chunks(PIECE)).map(piece).collect())
    }
}

/// Puts the pieces of every sender together again.
#[derive(Debug, Default)]
pub struct Reassembly(BTreeMap<Member, Partial>);

#[derive(Debug)]
struct Partial {
    number: u32,
    next: u32,
    bytes: Vec<u8>,
}

impl Reassembly {
    /// Takes the next piece of a sender and gives the message that it completes. What does not fit is dropped: its beginning
    /// was sent before this member joined.
    pub fn take(&mut self, from: Member, piece: &[u8]) -> Option<Message> {
        let (head, content) = piece.split_at_checked(HEADER)?;
        let field = |at: usize| {
            let bytes = head.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes))
        };
        if head[..4] != MAGIC {
            return None;
        }
        let (number, index, count) = (field(4)?, field(8)?, field(12)?);
        if index == 0 {
            self.0.insert(from, Partial { number, next: 0, bytes: Vec::new() });
        }
        let partial = self.0.get_mut(&from)?;
        if (partial.number, partial.next) != (number, index) {
            self.0.remove(&from);
            return None;
        }
        partial.bytes.extend_from_slice(content);
        partial.next += 1;
        if partial.next < count {
            return None;
        }
        let whole = self.0.remove(&from)?;
        postcard::from_bytes(&whole.bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N1: Member = Member { node: 1, pid: 10 };
    const N2: Member = Member { node: 2, pid: 20 };

    fn big(ticket: u64) -> Message {
        let op = Op::Write { path: "f".into(), offset: 0, data: vec![7; 1024 * 1024] };
        Message::Op { ticket, time: 5, op }
    }

    #[test]
    fn the_largest_file_travels_in_pieces_that_corosync_takes() {
        let pieces = big(1).pieces(1).unwrap();
        assert!(pieces.iter().all(|piece| piece.len() < 1_047_552));
        let mut reassembly = Reassembly::default();
        let results: Vec<_> = pieces.iter().map(|piece| reassembly.take(N1, piece)).collect();
        let (last, earlier) = results.split_last().unwrap();
        assert_eq!(*last, Some(big(1)));
        assert!(earlier.iter().all(Option::is_none));
    }

    #[test]
    fn pieces_of_two_senders_do_not_mix() {
        let (one, two) = (big(1).pieces(1).unwrap(), big(2).pieces(1).unwrap());
        let mut reassembly = Reassembly::default();
        let mut done = Vec::new();
        for (first, second) in one.iter().zip(&two) {
            done.extend(reassembly.take(N1, first));
            done.extend(reassembly.take(N2, second));
        }
        assert_eq!(done, [big(1), big(2)]);
    }

    #[test]
    fn a_message_whose_beginning_was_missed_is_dropped() {
        let mut reassembly = Reassembly::default();
        let pieces = big(1).pieces(1).unwrap();
        assert!(pieces[1..].iter().all(|piece| reassembly.take(N1, piece).is_none()));
        assert_eq!(reassembly.take(N1, b"short"), None);
    }
}
