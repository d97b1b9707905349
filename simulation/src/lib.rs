//! The deterministic simulation: the production code of edges, gateway and encoders on one thread, in simulated time, over models of
//! DynamoDB and S3 and a network that fails as the seed says. `docs/SIMULATION.md` tells what is simulated and what is checked.
//!
//! | module | what |
//! | --- | --- |
//! | [`model`] | pure: the table and the bucket |
//! | [`dice`], [`weather`] | pure: chance, and what becomes of a call |
//! | [`mutation`] | pure: deliberate faults |
//! | [`check`] | pure: the promises |
//! | `seam` | the production code's seams, over the models and the network |
//! | `actor` | who takes part |
//! | [`run`](mod@run) | one run |

mod actor;
pub mod check;
pub mod dice;
pub mod model;
pub mod mutation;
pub mod process;
pub mod run;
mod seam;
pub mod trace;
pub mod weather;
pub mod world;
