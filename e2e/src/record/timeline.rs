//! When something held and when it did not, computed from the lines of a record.

use super::event::{Event, Line};
use super::{Cause, Gap};

/// The recorder writes a line every second; a silence longer than this is one.
const SILENCE_MS: u64 = 5000;

/// What one line says about the thing in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It holds from here on.
    Good,
    /// It does not hold from here on.
    Bad(Cause),
    /// It is as before, and watched.
    Same,
    /// Nothing, not even that it is still watched.
    Beside,
}

/// The times at which the thing began or ceased to hold.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// From when on, and what kept it from holding. Ascending; the last one lasts.
    changes: Vec<(u64, Option<Cause>)>,
}

impl Timeline {
    /// The time line of all `lines`, and beyond them to `to_ms`.
    pub(super) fn new(lines: &[Line], to_ms: u64, judge: fn(&Event) -> State) -> Self {
        let mut now = Some(Cause::NotRecorded);
        let mut changes = vec![(0, now)];
        let mut alive_ms = 0;
        for line in lines {
            let at_ms = line.realtime_ms;
            let state = judge(&line.event);
            if state == State::Beside {
                continue;
            }
            if at_ms - alive_ms > SILENCE_MS {
                changes.extend([(alive_ms, Some(Cause::NotRecorded)), (at_ms, now)]);
            }
            // What happened between the last sign of life and a new start is not known.
            if line.event == Event::Started {
                changes.push((alive_ms, Some(Cause::NotRecorded)));
            }
            alive_ms = at_ms;
            now = match state {
                State::Good => None,
                State::Bad(cause) => Some(cause),
                State::Same | State::Beside => continue,
            };
            changes.push((at_ms, now));
        }
        if to_ms.saturating_sub(alive_ms) > SILENCE_MS {
            changes.push((alive_ms, Some(Cause::NotRecorded)));
        }
        Self { changes }
    }

    /// The parts of the window in which it did not hold; adjoining ones are one, under the cause
    /// that it began with.
    pub(super) fn gaps(&self, from_ms: u64, to_ms: u64) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        for (index, &(begin, cause)) in self.changes.iter().enumerate() {
            let end = self.changes.get(index + 1).map_or(u64::MAX, |next| next.0);
            let Some(cause) = cause else { continue };
            match gaps.last_mut() {
                Some(last) if last.to_ms == begin => last.to_ms = end,
                _ => gaps.push(Gap { from_ms: begin, to_ms: end, cause }),
            }
        }
        // A flicker inside one millisecond is a gap; one that ends where the window begins is none.
        gaps.retain(|gap| gap.from_ms < to_ms && (gap.to_ms > from_ms || gap.from_ms >= from_ms));
        for gap in &mut gaps {
            gap.from_ms = gap.from_ms.max(from_ms);
            gap.to_ms = gap.to_ms.min(to_ms);
        }
        gaps
    }

    /// The first moment from `at_ms` on at which it held.
    pub(super) fn first_good(&self, at_ms: u64) -> Option<u64> {
        let ends = self.changes.iter().skip(1).map(|next| next.0).chain([u64::MAX]);
        let mut spans = self.changes.iter().zip(ends);
        let (&(begin, _), _) = spans.find(|&(&(begin, cause), end)| {
            let lasts = end > begin.max(at_ms);
            cause.is_none() && lasts
        })?;
        Some(begin.max(at_ms))
    }
}
