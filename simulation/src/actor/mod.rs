//! Who takes part: [`encoder`] tasks and [`edge`]s run the production code; the [`director`] throws the dice for publishers, the operator
//! and whoever kills things.

pub(crate) mod director;
pub(crate) mod edge;
pub(crate) mod encoder;
pub(crate) mod pictures;
