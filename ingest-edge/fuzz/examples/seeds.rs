//! Makes the first seeds of the corpora: `cargo run --example seeds` in `ingest-edge/fuzz`.

fn main() -> std::io::Result<()> {
    ingest_edge_fuzz::seeds::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")))
}
