//! Numbers as corosync reads them: the width of the C type, then the bounds that it checks.

use std::fmt;

use super::Kind;

/// Least and most, both allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least value.
    pub least: i128,
    /// The greatest value.
    pub most: i128,
}

impl Bounds {
    /// Whether the value lies within.
    #[must_use]
    pub const fn contain(&self, value: i128) -> bool {
        self.least <= value && value <= self.most
    }
}

/// The C type that corosync stores a number in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 8 bits, unsigned.
    U8,
    /// 16 bits, unsigned.
    U16,
    /// 32 bits, unsigned.
    U32,
    /// 64 bits, unsigned. corosync has no bounds for it: what does not parse aborts the daemon,
    /// running ones included (corosync.md 1 item 10).
    U64,
    /// 32 bits, signed.
    I32,
    /// None: corosync stores the text as it is, the daemon that uses it reads a decimal number.
    Text,
}

impl Width {
    /// What the type can hold.
    #[must_use]
    pub const fn bounds(self) -> Bounds {
        let (least, most) = match self {
            Self::U8 => (0, u8::MAX as i128),
            Self::U16 => (0, u16::MAX as i128),
            Self::U32 => (0, u32::MAX as i128),
            Self::U64 => (0, u64::MAX as i128),
            Self::I32 => (i32::MIN as i128, i32::MAX as i128),
            Self::Text => (i64::MIN as i128, i64::MAX as i128),
        };
        Bounds { least, most }
    }

    /// The number that corosync takes the bytes for; `None`: it refuses the file, or aborts where
    /// the width is 64 bits.
    ///
    /// As C's `strtoll` takes it: white space before it (vertical tab and form feed are what is
    /// left of that in a value), a sign, leading zeros. A negative number of 64 bits wraps around:
    /// `-1` is the largest there is (all measured with 3.1.7).
    #[must_use]
    pub fn read(self, value: &[u8]) -> Option<i128> {
        let start = value.iter().take_while(|byte| matches!(byte, 0x09..=0x0d | b' ')).count();
        let value = &value[start..];
        let negative = value.first() == Some(&b'-');
        let digits = value.strip_prefix(b"+").or(value.strip_prefix(b"-")).unwrap_or(value);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let magnitude: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let number = match (self, negative) {
            (Self::U64, true) => i128::from(magnitude.wrapping_neg()),
            (_, true) => -i128::from(magnitude),
            (_, false) => i128::from(magnitude),
        };
        self.bounds().contain(number).then_some(number)
    }
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nothing but itself.
    Plain,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Secs,
    /// Bytes.
    Bytes,
    /// Per cent.
    Percent,
    /// Votes.
    Votes,
}

impl Unit {
    /// How it is written behind a number, with the space before it.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Millis => " ms",
            Self::Secs => " s",
            Self::Bytes => " bytes",
            Self::Percent => " %",
            Self::Votes => " votes",
        }
    }
}

/// A number's width and bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// How corosync's parser reads it.
    pub width: Width,
    /// What it counts.
    pub unit: Unit,
    /// What corosync's check takes after that, by itself; some keys have to fit others as well.
    pub accepted: Bounds,
    /// Whether 0, though out of `accepted`, is taken for the default.
    pub zero_is_default: bool,
    /// What makes sense. Never wider than `accepted`.
    pub sensible: Bounds,
}

impl Number {
    pub(super) const fn of(width: Width) -> Self {
        let accepted = width.bounds();
        Self { width, unit: Unit::Plain, accepted, zero_is_default: false, sensible: accepted }
    }

    /// A time that corosync refuses below 30 ms, and takes 0 for the default.
    pub(super) const fn timer() -> Self {
        let millis = Self::of(Width::U32).unit(Unit::Millis).accepts(30, u32::MAX as i128);
        Self { zero_is_default: true, ..millis }
    }

    /// 0 or 1 in 8 bits; corosync takes every other number for 1.
    pub(super) const fn flag() -> Kind {
        Self::of(Width::U8).sensible(0, 1)
    }

    pub(super) const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    pub(super) const fn accepts(mut self, least: i128, most: i128) -> Self {
        self.accepted = Bounds { least, most };
        self.sensible = self.accepted;
        self
    }

    pub(super) const fn sensible(mut self, least: i128, most: i128) -> Kind {
        self.sensible = Bounds { least, most };
        Kind::Number(self)
    }

    pub(super) const fn any(self) -> Kind {
        Kind::Number(self)
    }

    /// Whether corosync's check takes the value.
    #[must_use]
    pub const fn accepts_value(&self, value: i128) -> bool {
        self.accepted.contain(value) || (self.zero_is_default && value == 0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted: Bounds { least, most }, unit, zero_is_default, .. } = self;
        let zero = if *zero_is_default { ", 0 for the default" } else { "" };
        write!(f, "a number from {least} to {most}{}{zero}", unit.suffix())
    }
}
