//! One process's metrics, fetched and read.

use std::{collections::HashMap, io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use super::Endpoint;

/// Time for an answer: whoever looks looks again a second later.
const WITHIN: Duration = Duration::from_millis(800);
/// Most bytes of an answer: a registry is some 20 kB, a thousand lives are half a megabyte.
const ANSWER_MAX: u64 = 8 << 20;
/// A mean over less than one look's worth of observations is taken over the whole of the process's life.
const ALL: Option<&Scrape> = None;

/// The metrics of a process at one moment, by name and labels as Prometheus spells them.
#[derive(Debug, Clone)]
pub(super) struct Scrape {
    at: Instant,
    values: HashMap<String, f64>,
}

/// Fetches the metrics of a process.
pub(super) async fn fetch(endpoint: &Endpoint) -> io::Result<Scrape> {
    Ok(Scrape::read(&get(endpoint, "/metrics").await?))
}

/// Gets what is at a path of a process.
pub(super) async fn get(endpoint: &Endpoint, path: &str) -> io::Result<String> {
    let answer = tokio::time::timeout(WITHIN, ask(endpoint, path)).await;
    let text = answer.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    match head.get(9..12) {
        Some("200") => Ok(body.to_owned()),
        status => Err(io::Error::other(format!("answered {}", status.unwrap_or("nothing")))),
    }
}

async fn ask(endpoint: &Endpoint, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(endpoint.address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", endpoint.address);
    socket.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    socket.take(ANSWER_MAX).read_to_string(&mut text).await?;
    Ok(text)
}

impl Scrape {
    /// Reads Prometheus's text format.
    fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let values = samples.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self { at: Instant::now(), values: values.collect() }
    }

    /// A value; 0 if there is none.
    pub(super) fn value(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or(0.0)
    }

    /// The sum over a metric's labels.
    pub(super) fn total(&self, name: &str) -> f64 {
        let of =
            |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        // Not `sum`, which makes -0 of nothing.
        self.values.iter().filter(|(key, _)| of(key)).fold(0.0, |total, (_, value)| total + value)
    }

    /// A counter's growth a second.
    pub(super) fn rate_since(&self, last: &Self, name: &str) -> f64 {
        let seconds = self.at.duration_since(last.at).as_secs_f64();
        if seconds > 0.0 { (self.value(name) - last.value(name)).max(0.0) / seconds } else { 0.0 }
    }

    /// A histogram's mean since the last look, or over the process's life if nothing came since; `None` if nothing ever did.
    pub(super) fn mean_since(&self, last: Option<&Self>, name: &str) -> Option<f64> {
        let grown = |end: &str| {
            let name = format!("{name}{end}");
            self.value(&name) - last.map_or(0.0, |last| last.value(&name))
        };
        let count = grown("_count");
        if count > 0.0 {
            return Some(grown("_sum") / count);
        }
        last.and_then(|_| self.mean_since(ALL, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_read_and_rates_are_told() {
        let mut last = Scrape::read(
            "# HELP a x\na 1\nb_total{code=\"x y\"} 2\nb_total{code=\"z\"} 3\nh_sum 4\nh_count 2\n",
        );
        let now = Scrape::read("a 5\nb_total{code=\"x y\"} 2\nh_sum 10\nh_count 4\n");
        assert_eq!((last.value("a"), last.total("b_total"), last.value("none")), (1.0, 5.0, 0.0));
        assert!(last.total("none").is_sign_positive());
        assert_eq!(now.mean_since(Some(&last), "h"), Some(3.0));
        assert_eq!(now.mean_since(Some(&now), "h"), Some(2.5), "nothing new: over all");
        assert_eq!(now.mean_since(None, "none"), None);
        last.at = now.at.checked_sub(Duration::from_secs(2)).unwrap();
        assert_eq!(now.rate_since(&last, "a"), 2.0);
    }
}
