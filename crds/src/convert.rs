//! The way between the wire form and the checked types of `pvecm-core`. Parsed once, here.

mod adopted;
mod desired;
mod device;
mod host;
mod limits;
mod observed;
mod plan;
mod transfer;

use pvecm_core::ids::IdError;

pub use adopted::{LeftOut, adopted};
pub use desired::{InvalidSpec, desired, dissolves};
pub use device::{Holder, witness_view};
pub use host::host_view;
pub use limits::{limits_to_core, stated_limits};
pub use observed::{HostNotUnderstood, left, observed, texts, was_in_force};
pub use plan::{plan_from_core, plan_stages, stage_from_core, stage_to_core};

/// Why an object that the API server accepted could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A name, id or digest is not one.
    #[error("{0} does not hold a valid value")]
    Id(&'static str, #[source] IdError),
    /// A number does not fit, into the object or out of it.
    #[error("{0} holds a number that is out of range")]
    Number(&'static str),
    /// A network address is not one.
    #[error("{0} does not hold a valid network address")]
    Address(&'static str, #[source] ipnet::AddrParseError),
    /// An address is not one.
    #[error("{0} does not hold a valid address")]
    Ip(&'static str, #[source] std::net::AddrParseError),
    /// A digest does not belong to the text beside it.
    #[error("{0} has a digest that is not the digest of its text")]
    Digest(&'static str),
    /// A list names the same thing twice.
    #[error("{0} names `{1}` twice")]
    Twice(&'static str, String),
}

/// Turns a number of the wire into one of the core, or back.
fn number<From, To: TryFrom<From>>(field: &'static str, value: From) -> Result<To, ConvertError> {
    To::try_from(value).map_err(|_| ConvertError::Number(field))
}

/// Turns a counter of the core into one that a schema takes.
fn counter(field: &'static str, value: u64) -> Result<i64, ConvertError> {
    match i64::try_from(value) {
        Ok(fits) if fits <= crate::LARGEST => Ok(fits),
        _ => Err(ConvertError::Number(field)),
    }
}

/// Parses a name or digest.
fn id<T: std::str::FromStr<Err = IdError>>(
    field: &'static str,
    text: &str,
) -> Result<T, ConvertError> {
    text.parse().map_err(|why| ConvertError::Id(field, why))
}

/// Checks a node id or a link number.
fn id_number<T: TryFrom<u32, Error = IdError>>(
    field: &'static str,
    value: i64,
) -> Result<T, ConvertError> {
    T::try_from(number(field, value)?).map_err(|why| ConvertError::Id(field, why))
}
