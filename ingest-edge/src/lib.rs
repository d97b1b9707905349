//! The edge: takes RTMPS publishers in and turns each into closed GOPs.

pub mod rtmp;
