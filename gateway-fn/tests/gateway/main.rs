//! The gateway against a real table and real HTTP encoders on loopback.

#[cfg(test)]
mod common;
#[cfg(test)]
mod encoders;
#[cfg(test)]
mod function;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod publishes;
#[cfg(test)]
mod races;
#[cfg(test)]
mod sweeps;
#[cfg(test)]
mod timeline;
