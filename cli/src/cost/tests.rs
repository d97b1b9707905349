//! The arithmetic, against numbers worked out by hand from the prices, and the data's own rules.

use media::ladder::Profile;

use super::{
    amount, gop,
    model::{Show, cost, vcpus},
    prices::Book,
};

const NOTHING: Show =
    Show { ladder: Profile::P720, hours: 1.0, lives: 1.0, viewer_hours: 0.0, gop: 2.0, keep: 30.0 };

fn book() -> Book {
    Book::load("us-east-1").unwrap()
}

fn close(got: f64, want: f64) {
    assert!((got - want).abs() <= want.abs() * 1e-9 + 1e-15, "{got}, not {want}");
}

fn line(bill: &super::Bill, what: &str) -> f64 {
    bill.lines.iter().find(|line| line.what == what).unwrap().usd
}

#[test]
fn an_hour_of_the_stack() {
    let cost = cost(&book(), &NOTHING).unwrap();
    // 8 vCPU and 16 GB; one on demand, one of which a quarter is on demand and the rest at 0.3.
    let task = 8.0 * 0.03238 + 16.0 * 0.00356;
    close(line(&cost.idle_hour, "encoders"), task * (1.0 + (1.0 + 3.0 * 0.3) / 4.0));
    close(line(&cost.idle_hour, "edges"), 2.0 * (2.0 * 0.03238 + 4.0 * 0.00356));
    let sizes = book().sizes;
    close(line(&cost.idle_hour, "interface endpoints"), sizes.endpoints * 3.0 * 0.01);
    close(line(&cost.idle_hour, "load balancer"), 0.0225 + 3.0 * 0.005);
    // 15 metrics from log lines at least, and 30 that the services write; an alarm is a third of a metric.
    let monthly = line(&cost.idle_hour, "metrics, alarms, dashboard, secrets") * 730.0;
    assert!((15.0 * 0.3 + 30.0 * 0.3 + 3.0 + 0.8..30.0).contains(&monthly), "{monthly}");
    // One live in 720p fits into what is kept anyway.
    assert_eq!(cost.idle_hour, cost.stack_hour);
}

#[test]
fn encoders_by_ladder_and_lives() {
    let book = book();
    // (1280·720 + 853⅓·480 + 640·360) · 30 = 46.848 Mpixel/s.
    close(vcpus(&book, Profile::P720).unwrap(), 46.848 * 0.021);
    let tasks = |lives: f64| cost(&book, &Show { lives, ..NOTHING }).unwrap().encoders;
    // 0.983808 vCPU at half load: 4 in a task of 8 vCPU.
    assert_eq!([1.0, 8.0, 9.0, 100.0].map(tasks), [2.0, 2.0, 3.0, 25.0]);
}

#[test]
fn an_hour_on_air() {
    let stream = cost(&book(), &NOTHING).unwrap().stream_hour;
    // 1800 chunks; three rungs and the sound.
    close(line(&stream, "S3, writing"), 1800.0 * (4.1 + 4.0 * 3.0) * 0.000_005);
    let shield = 1800.0 * 4.0 + 3600.0;
    close(line(&stream, "S3, reading"), (1800.0 * 2.1 + shield) * 0.000_000_4 + shield * 0.000_000_75);
    close(line(&stream, "DynamoDB"), 1800.0 * (8.0 * 0.000_000_625 + 2.0 * 0.000_000_125));
    close(line(&stream, "Lambda"), 1800.0 * (0.000_000_2 + 0.03 * 0.5 * 0.000_013_333_4));
    let gb = (2_500_000.0 + 1_200_000.0 + 700_000.0 + 128_000.0) / 8.0 * 3600.0 / 1024f64.powi(3);
    close(line(&stream, "S3, keeping the replay"), gb * 0.023);
    // Twice the GOP is half the objects.
    let long = cost(&book(), &Show { gop: 4.0, ..NOTHING }).unwrap().stream_hour;
    close(line(&long, "S3, writing") * 2.0, line(&stream, "S3, writing"));
    let sum: f64 = stream.lines.iter().map(|line| line.usd).sum();
    close(stream.usd, sum);
}

#[test]
fn an_hour_watched_and_the_tiers() {
    let viewer = cost(&book(), &NOTHING).unwrap().viewer_hour;
    let gb = 2_628_000.0 / 8.0 * 3600.0 / 1024f64.powi(3);
    close(line(&viewer, "CloudFront, GB"), gb * 0.085);
    close(line(&viewer, "CloudFront, requests"), 5400.0 * 0.000_001);
    let tiers = book().cloudfront_gb;
    close(tiers.cost(10_240.0), 870.4);
    close(tiers.cost(51_200.0), 870.4 + 40_960.0 * 0.08);
    close(tiers.cost(60_000.0), 870.4 + 40_960.0 * 0.08 + 8800.0 * 0.06);
    close(tiers.cost(0.0), 0.0);
    assert!(cost(&book(), &Show { viewer_hours: 1e5, ..NOTHING }).unwrap().viewer_hour.usd < viewer.usd);
}

#[test]
fn the_same_elsewhere() {
    let show = Show { ladder: Profile::P1080, hours: 10.0, viewer_hours: 100.0, ..NOTHING };
    let asked = cost(&book(), &show).unwrap();
    close(asked.elsewhere[1].usd, 10.0 * 2.0 + 100.0 * 0.15);
    // Two HD and two SD outputs, an input; S3 and CloudFront as here.
    let s3 =
        ["S3, writing", "S3, reading", "S3, keeping the replay"].map(|what| line(&asked.stream_hour, what));
    let medialive = 0.294 + 2.0 * 0.702 + 2.0 * 0.354 + s3.iter().sum::<f64>();
    close(asked.elsewhere[0].usd, 10.0 * medialive + 100.0 * asked.viewer_hour.usd);
    assert!(cost(&book(), &Show { ladder: Profile::P2160, ..show }).unwrap().elsewhere.is_empty());
    close(
        asked.total.usd,
        10.0 * (asked.stack_hour.usd + asked.stream_hour.usd) + 100.0 * asked.viewer_hour.usd,
    );
}

#[test]
fn every_number_says_where_it_is_from() {
    for region in ["us-east-1", "eu-west-1"] {
        let book = Book::load(region).unwrap();
        for (name, price) in &book.prices {
            assert!(price.usd > 0.0 && !price.unit.is_empty(), "{name}");
            assert!(price.source.starts_with("https://"), "{name}");
            assert!(price.read.parse::<jiff::civil::Date>().is_ok(), "{name}");
        }
        assert!(book.prices.values().any(|price| price.checked));
        for (name, used) in &book.usage {
            assert!(used.value > 0.0 && !used.why.is_empty(), "{name}");
        }
    }
    let error = format!("{:#}", Book::load("mars-1").unwrap_err());
    assert!(error.contains("eu-west-1, us-east-1"), "{error}");
}

/// The numbers that the pages name are the formula's, to the hundredth or to the thousandth part.
#[test]
fn the_pages_name_these_numbers() {
    let show = |ladder, hours: f64, lives, viewers: f64| {
        let show = Show { ladder, hours, lives, viewer_hours: hours * viewers, ..NOTHING };
        cost(&book(), &show).unwrap()
    };
    let (p720, p1080) = (Profile::P720, Profile::P1080);
    let one = show(p720, 1.0, 1.0, 0.0);
    let operations = include_str!("../../../docs/OPERATIONS.md");
    let page = include_str!("../../../docs/COST.md");
    let all = |cost: super::model::Cost| -> Vec<f64> {
        std::iter::once(cost.total.usd).chain(cost.elsewhere.iter().map(|line| line.usd)).collect()
    };
    let rows = [
        (operations, "the stack for an hour with nothing on air", vec![one.idle_hour.usd]),
        (operations, "and an hour of one live in 720p on air", vec![one.stream_hour.usd]),
        (operations, "an hour that one person watches it", vec![one.viewer_hour.usd]),
        (page, "1 h in 720p, nobody watches", all(one)),
        (page, "1 h in 720p, 500 watch", all(show(p720, 1.0, 1.0, 500.0))),
        (page, "1 h in 1080p, 500 watch", all(show(p1080, 1.0, 1.0, 500.0))),
        (page, "300 h in 720p, 10 lives at once, 100 watch each", all(show(p720, 300.0, 10.0, 100.0))),
        (page, "300 h in 1080p, 10 lives at once, 100 watch each", all(show(p1080, 300.0, 10.0, 100.0))),
    ];
    for (page, row, real) in rows {
        let told = page.lines().find_map(|line| line.strip_prefix(&format!("| {row} |"))).unwrap();
        let told: Vec<f64> = told.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
        let is_near = |(told, real): (&f64, &f64)| (told - real).abs() <= (real * 0.001).max(0.01);
        assert!(
            told.len() == real.len() && told.iter().zip(&real).all(is_near),
            "{row}: {told:?}, not {real:?}"
        );
    }
}

#[test]
fn amounts() {
    assert_eq!(amount("2.5"), Ok(2.5));
    for bad in ["-1", "nan", "inf", "x", "", "1e9"] {
        assert!(amount(bad).is_err(), "{bad}");
    }
    assert!(gop("2").is_ok() && gop("0").is_err() && gop("60").is_err());
}
