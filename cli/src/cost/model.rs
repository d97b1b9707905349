//! The formula: what a stack costs by the hour, a stream by the hour on air, a viewer by the hour watched. Pure arithmetic over
//! [`Book`]; docs/COST.md has it in words.

use media::ladder::Profile;
use serde::Serialize;

use super::prices::{Book, Task};

/// Hours of a month, as AWS counts.
const MONTH_HOURS: f64 = 730.0;
const MONTH_DAYS: f64 = 30.0;
/// Days that stored chunks are kept: infra/data/bucket.json.
const CHUNK_DAYS: f64 = 14.0;
const BYTES_PER_GB: f64 = 1024.0 * 1024.0 * 1024.0;
const SECONDS_PER_HOUR: f64 = 3600.0;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    pub(crate) ladder: Profile,
    /// Hours on air of all lives together.
    pub(crate) hours: f64,
    /// Lives on air at once.
    pub(crate) lives: f64,
    pub(crate) viewer_hours: f64,
    /// Seconds of a GOP.
    pub(crate) gop: f64,
    /// Days that replays are kept.
    pub(crate) keep: f64,
}

/// One line of a bill, in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Line {
    pub(crate) what: &'static str,
    pub(crate) usd: f64,
}

/// A bill: its lines, and their sum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Bill {
    pub(crate) usd: f64,
    pub(crate) lines: Vec<Line>,
}

impl Bill {
    fn of(lines: Vec<Line>) -> Self {
        Self { usd: lines.iter().map(|line| line.usd).sum(), lines }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// An hour of the stack with nothing on air.
    pub(crate) idle_hour: Bill,
    /// Encoder tasks that the lives need at once.
    pub(crate) encoders: f64,
    /// An hour of the stack with all lives on air: what does not depend on the hours and viewers.
    pub(crate) stack_hour: Bill,
    /// An hour of one live on air, beyond that.
    pub(crate) stream_hour: Bill,
    /// An hour that one person watches.
    pub(crate) viewer_hour: Bill,
    /// What was asked for.
    pub(crate) total: Bill,
    /// The same elsewhere; absent where there is no price for the ladder.
    pub(crate) elsewhere: Vec<Line>,
}

/// Bits per second of the whole ladder and its sound.
fn ladder_bits(book: &Book, ladder: Profile) -> anyhow::Result<f64> {
    let video: f64 = ladder.rungs().iter().map(|rung| f64::from(rung.bit_rate)).sum();
    Ok(video + book.used("audio_bit_rate")?)
}

/// Bits per second of the top rung and the sound: what a viewer gets at most.
fn top_bits(book: &Book, ladder: Profile) -> anyhow::Result<f64> {
    let top = ladder.rungs().first().map_or(0.0, |rung| f64::from(rung.bit_rate));
    Ok(top + book.used("audio_bit_rate")?)
}

fn gb_per_hour(bits_per_second: f64) -> f64 {
    bits_per_second / 8.0 * SECONDS_PER_HOUR / BYTES_PER_GB
}

/// An hour of a task on demand.
fn task_hour(book: &Book, task: Task) -> anyhow::Result<f64> {
    Ok(task.vcpus() * book.usd("fargate_arm_vcpu")? + task.gb() * book.usd("fargate_arm_gb")?)
}

/// An hour of so many encoders: the base on demand, the others by the weights of the two capacity providers.
fn encoders_hour(book: &Book, tasks: f64) -> anyhow::Result<f64> {
    let sizes = &book.sizes;
    let base = tasks.min(sizes.on_demand_base);
    let weights = sizes.on_demand_weight + sizes.spot_weight;
    let mixed = (sizes.on_demand_weight + sizes.spot_weight * book.usd("fargate_spot")?) / weights;
    Ok((base + (tasks - base) * mixed) * task_hour(book, sizes.encoder)?)
}

/// vCPUs that transcode one live.
pub(crate) fn vcpus(book: &Book, ladder: Profile) -> anyhow::Result<f64> {
    let fps = book.used("frame_rate")?;
    let area: f64 = ladder.rungs().iter().map(|r| f64::from(r.short_side).powi(2) * 16.0 / 9.0).sum();
    Ok(area * fps / 1e6 * book.used("vcpu_seconds_per_megapixel")?)
}

/// Encoder tasks for so many lives, at the load that auto scaling aims at; never fewer than it keeps.
fn encoders(book: &Book, ladder: Profile, lives: f64) -> anyhow::Result<f64> {
    let sizes = &book.sizes;
    let wanted = (lives * vcpus(book, ladder)? / sizes.encoder_load / sizes.encoder.vcpus()).ceil();
    Ok(wanted.max(sizes.encoders))
}

fn stack_hour(book: &Book, encoders: f64) -> anyhow::Result<Bill> {
    let sizes = &book.sizes;
    let monthly = book.usd("alarm_month")? * sizes.alarms
        + book.usd("metric_month")? * sizes.metrics
        + book.usd("dashboard_month")?
        // The certificate's and the hop's.
        + book.usd("secret_month")? * 2.0;
    Ok(Bill::of(vec![
        Line { what: "encoders", usd: encoders_hour(book, encoders)? },
        Line { what: "edges", usd: sizes.edges * task_hour(book, sizes.edge)? },
        Line { what: "interface endpoints", usd: sizes.endpoints * sizes.zones * book.usd("endpoint_hour")? },
        Line { what: "load balancer", usd: book.usd("nlb_hour")? + sizes.zones * book.usd("address_hour")? },
        Line { what: "metrics, alarms, dashboard, secrets", usd: monthly / MONTH_HOURS },
    ]))
}

fn stream_hour(book: &Book, show: &Show) -> anyhow::Result<Bill> {
    let chunks = SECONDS_PER_HOUR / show.gop;
    // Every rung, and the sound.
    let tracks = f64::from(u32::try_from(show.ladder.rungs().len())?) + 1.0;
    let puts = chunks * (book.used("puts_per_chunk")? + tracks * book.used("puts_per_track_and_chunk")?);
    let source = gb_per_hour(top_bits(book, show.ladder)? * book.used("source_over_top_rung")?);
    let stored = gb_per_hour(ladder_bits(book, show.ladder)?);
    // Origin Shield asks for each object once, and for the manifest each second.
    let shield = chunks * tracks + SECONDS_PER_HOUR;
    let gets = chunks * book.used("gets_per_chunk")? + shield;
    let table = chunks
        * (book.used("write_units_per_chunk")? * book.usd("dynamodb_write")?
            + book.used("read_units_per_chunk")? * book.usd("dynamodb_read")?);
    let function = chunks
        * (book.usd("lambda_request")?
            + book.used("function_ms_per_chunk")? / 1000.0
                * book.sizes.function_gb
                * book.usd("lambda_arm_gb_second")?);
    let logs = chunks * book.used("log_bytes_per_chunk")? / BYTES_PER_GB;
    let network = source
        * (book.usd("nlb_gb")? + book.used("zone_crossings")? * 2.0 * book.usd("zone_gb")?)
        + logs * book.usd("endpoint_gb")?;
    let month = book.usd("s3_gb_month")? / MONTH_DAYS;
    Ok(Bill::of(vec![
        Line { what: "S3, writing", usd: puts * book.usd("s3_put")? },
        Line {
            what: "S3, reading",
            usd: gets * book.usd("s3_get")? + shield * book.usd("cloudfront_shield_request")?,
        },
        Line { what: "S3, keeping the chunks", usd: source * CHUNK_DAYS * month },
        Line { what: "S3, keeping the replay", usd: stored * show.keep * month },
        Line { what: "DynamoDB", usd: table },
        Line { what: "Lambda", usd: function },
        Line { what: "load balancer, zones, endpoints, by GB", usd: network },
        Line { what: "logs", usd: logs * book.usd("logs_gb")? },
    ]))
}

fn viewer_hour(book: &Book, show: &Show) -> anyhow::Result<Bill> {
    let gb = gb_per_hour(top_bits(book, show.ladder)?);
    // Pictures, sound, and the manifest.
    let requests = SECONDS_PER_HOUR * (2.0 / show.gop + book.used("manifests_per_viewer_second")?);
    // The price for GB of all that is asked for, so that a large audience gets its tier.
    let all = gb * show.viewer_hours;
    let traffic = if all > 0.0 {
        book.cloudfront_gb.cost(all) / show.viewer_hours
    } else {
        book.cloudfront_gb.cost(gb)
    };
    Ok(Bill::of(vec![
        Line { what: "CloudFront, GB", usd: traffic },
        Line { what: "CloudFront, requests", usd: requests * book.usd("cloudfront_request")? },
        Line { what: "CloudFront, function", usd: requests * book.usd("cloudfront_function")? },
    ]))
}

/// MediaLive, one pipeline, writing to the same bucket and CDN; and IVS, which brings its own. For ladders that they have prices for.
fn elsewhere(book: &Book, show: &Show, stream: &Bill, viewer: &Bill) -> anyhow::Result<Vec<Line>> {
    let (mut outputs, mut top) = (0.0, 0);
    for rung in show.ladder.rungs() {
        top = top.max(rung.short_side);
        outputs += if rung.short_side < 720 { book.usd("medialive_sd")? } else { book.usd("medialive_hd")? };
    }
    let watched = match top {
        0..=480 => book.usd("ivs_sd")?,
        481..=720 => book.usd("ivs_hd")?,
        721..=1080 => book.usd("ivs_full_hd")?,
        _ => return Ok(Vec::new()),
    };
    let s3: f64 = stream
        .lines
        .iter()
        .filter(|l| l.what.starts_with("S3") && l.what != "S3, keeping the chunks")
        .map(|l| l.usd)
        .sum();
    let medialive = book.usd("medialive_input")? + outputs;
    Ok(vec![
        Line {
            what: "MediaLive to S3 and CloudFront",
            usd: show.hours * (medialive + s3) + show.viewer_hours * viewer.usd,
        },
        Line {
            what: "IVS, standard channel",
            usd: show.hours * book.usd("ivs_input")? + show.viewer_hours * watched,
        },
    ])
}

/// The cost of a show.
///
/// # Errors
/// When the data lacks a number.
pub(crate) fn cost(book: &Book, show: &Show) -> anyhow::Result<Cost> {
    let tasks = encoders(book, show.ladder, show.lives)?;
    let (idle_hour, stack_hour) = (stack_hour(book, book.sizes.encoders)?, stack_hour(book, tasks)?);
    let (stream_hour, viewer_hour) = (stream_hour(book, show)?, viewer_hour(book, show)?);
    let total = Bill::of(vec![
        Line { what: "the stack while on air", usd: show.hours / show.lives * stack_hour.usd },
        Line { what: "streams", usd: show.hours * stream_hour.usd },
        Line { what: "viewers", usd: show.viewer_hours * viewer_hour.usd },
    ]);
    let elsewhere = elsewhere(book, show, &stream_hour, &viewer_hour)?;
    Ok(Cost { idle_hour, encoders: tasks, stack_hour, stream_hour, viewer_hour, total, elsewhere })
}
