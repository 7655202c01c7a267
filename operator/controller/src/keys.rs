//! Names of objects with their namespace, as the queues know them.

use std::fmt;

macro_rules! key_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            /// `metadata.namespace`.
            pub namespace: String,
            /// `metadata.name`.
            pub name: String,
        }

        impl $name {
            /// The key of this object.
            #[must_use]
            pub fn new(namespace: &str, name: &str) -> Self {
                Self { namespace: namespace.to_owned(), name: name.to_owned() }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.namespace, self.name)
            }
        }
    };
}

key_type!(
    /// A `PveCluster`.
    ClusterKey
);
key_type!(
    /// A `PveHost`, and the Lease of the same host.
    HostKey
);
