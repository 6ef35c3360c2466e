//! The certificate authorities under everything that years bring: the real ones of `ca`, on real stores, with a clock
//! that is moved by hand and chance that comes from a number.
//!
//! ```text
//! life.rs         years with hundreds of holders, stops, kills and wrong clocks: `cargo xtask life`, short in the tests
//! mortal.rs       a store that dies at its n-th commit, done or not done
//! copy.rs         everything copied, put back, and taken through caucase's files
//! invariants.rs   what holds of the records, whatever happened
//! ```
//! **Invariant:** the same seed makes the same decisions; what does not hold ends it with the seed.

mod asker;
pub mod copy;
mod ground;
mod invariants;
pub mod life;
mod mortal;

pub use asker::{Asker, Pool};
pub use ground::{Authorities, Base, administrator};
pub use invariants::hold;
pub use mortal::{Death, Mortal};
