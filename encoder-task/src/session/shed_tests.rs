//! The decisions against a model of a machine: broadcasts whose chunks come as time passes, and places for two chunks at once that share
//! what the machine does in a second.

use media::{
    id::{ChunkSeq, PublishNo},
    ladder::Profile,
};

use super::*;

const FPS: FrameRate = FrameRate { num: 30, den: 1 };
/// Steps of the model, in microseconds.
const STEP: i64 = 25_000;

/// A chunk of so many milliseconds.
fn job(ms: u32, speed: Option<f64>) -> Job {
    let renditions = Profile::P2160.renditions(3840, 2160, Some(FPS));
    Job { speed, ..Job::new(Ticks::from(ms) * 90, (3840, 2160), FPS, &renditions, None) }
}

/// One broadcast.
struct Show {
    shed: Shed,
    /// In milliseconds.
    gop: u32,
    /// What is known of the machine beforehand.
    known: Option<f64>,
    arrivals: VecDeque<(ChunkPos, f64)>,
    came: f64,
    sequence: u32,
    /// Since when each is at hand, and how much is left to be done of it, once it is begun.
    at_hand: Vec<(ChunkPos, f64, Option<f64>)>,
    /// When each was done, how late that was, and how much was left out.
    done: Vec<(f64, f64, usize)>,
    left_out: usize,
}

impl Show {
    fn new(gop: u32, known: Option<f64>) -> Self {
        Self {
            shed: Shed::default(),
            gop,
            known,
            arrivals: VecDeque::new(),
            came: 0.0,
            sequence: 0,
            at_hand: Vec::new(),
            done: Vec::new(),
            left_out: 0,
        }
    }

    fn arrive(&mut self, at: f64) {
        let pos = ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(self.sequence) };
        self.sequence += 1;
        self.arrivals.push_back((pos, at));
    }

    fn left_out_after(&self, from: f64) -> Vec<usize> {
        self.done.iter().filter(|(at, ..)| *at >= from).map(|(.., left_out)| *left_out).collect()
    }

    fn worst_lag(&self, from: f64) -> f64 {
        self.done.iter().filter(|(at, ..)| *at >= from).map(|(_, lag, _)| *lag).fold(0.0, f64::max)
    }

    /// How often it went down, and up.
    fn changes(&self) -> (usize, usize) {
        let all: Vec<usize> = self.done.iter().map(|(.., left_out)| *left_out).collect();
        let count = |up: bool| all.windows(2).filter(|w| if up { w[1] < w[0] } else { w[1] > w[0] }).count();
        (count(false), count(true))
    }
}

/// The machine: what it does in a second, as it changes.
struct World<'a> {
    shows: Vec<Show>,
    speed: &'a dyn Fn(f64) -> f64,
    at: i64,
    dice: u32,
}

impl<'a> World<'a> {
    fn new(shows: Vec<Show>, speed: &'a dyn Fn(f64) -> f64) -> Self {
        Self { shows, speed, at: 0, dice: 1 }
    }

    /// Between 0.8 and 1.2: no two GOPs are equally hard.
    fn hardness(&mut self) -> f64 {
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.8 + f64::from(self.dice >> 16) / 65_536.0 * 0.4
    }

    fn run(&mut self, until: f64) {
        while (self.at as f64) < until * 1e6 {
            self.at += STEP;
            self.step();
        }
    }

    fn step(&mut self) {
        let (seconds, now) = (self.at as f64 / 1e6, WallTime(self.at));
        for show in &mut self.shows {
            while show.came + f64::from(show.gop) / 1000.0 <= seconds {
                show.came += f64::from(show.gop) / 1000.0;
                show.arrive(show.came);
            }
            // As many are read ahead as a session does.
            while show.at_hand.len() < crate::session::PIPELINE {
                let Some((pos, at)) = show.arrivals.pop_front() else { break };
                show.shed.ready(now, pos);
                show.at_hand.push((pos, at, None));
            }
            show.shed.waiting(show.arrivals.len() + show.at_hand.len());
        }
        // Places go to who has waited longest.
        loop {
            let begun = |show: &Show| show.at_hand.iter().filter(|(.., left)| left.is_some()).count();
            if self.shows.iter().map(begun).sum::<usize>() >= CHUNKS_AT_ONCE {
                break;
            }
            let waits = |show: &Show| {
                let first = show.at_hand.iter().enumerate().find(|(_, (.., left))| left.is_none());
                first.map(|(n, (_, at, _))| (*at, n))
            };
            let next = self.shows.iter().enumerate().filter_map(|(s, show)| Some((waits(show)?, s)));
            let Some(((_, n), s)) = next.min_by(|a, b| a.0.0.total_cmp(&b.0.0)) else { break };
            let hardness = self.hardness();
            let show = &mut self.shows[s];
            let job = job(show.gop, show.known);
            let decision = show.shed.begin(now, show.at_hand[n].0, &job);
            assert_eq!(decision.change.is_some(), decision.left_out != show.left_out);
            assert!(decision.left_out < job.rungs.len(), "the smallest stays");
            show.left_out = decision.left_out;
            show.at_hand[n].2 = Some(job.work(decision.left_out) * hardness);
        }
        let working = self.shows.iter().flat_map(|show| &show.at_hand).filter(|(.., left)| left.is_some());
        let share = (self.speed)(seconds) * STEP as f64 / 1e6 / f64::max(1.0, working.count() as f64);
        for show in &mut self.shows {
            for (.., left) in &mut show.at_hand {
                if let Some(left) = left {
                    *left -= share;
                }
            }
            while let Some(n) =
                show.at_hand.iter().position(|(.., left)| left.is_some_and(|left| left <= 0.0))
            {
                let (pos, at, _) = show.at_hand.remove(n);
                show.shed.end(now, pos);
                show.done.push((seconds, seconds - at, show.left_out));
            }
        }
    }
}

/// What a machine does that needs `times` as long for the whole ladder as it lasts.
fn slow(times: f64) -> f64 {
    job(1000, None).work(0) / times
}

/// The fewest rungs to be left out so that a machine `times` too slow keeps up.
fn needed(times: f64) -> usize {
    let job = job(1000, None);
    (0..job.rungs.len()).find(|n| job.work(*n) / slow(times) <= 1.0).unwrap_or(job.most())
}

#[test]
fn a_machine_that_keeps_up_makes_everything() {
    for times in [0.2, 0.5, 0.8] {
        for gop in [500, 2000, 8000] {
            let speed = move |_| slow(times);
            let mut world = World::new(vec![Show::new(gop, Some(slow(times * 1.4)))], &speed);
            world.run(300.0);
            assert_eq!(world.shows[0].changes(), (0, 0), "{times} {gop}");
            assert_eq!(world.shows[0].left_out, 0);
        }
    }
}

#[test]
fn one_that_is_too_slow_settles_soon_and_stays() {
    for times in [1.3, 2.0, 3.0, 4.0] {
        for gop in [1000, 2000, 4000] {
            // Told what it does (more or less), or nothing.
            for known in [Some(0.7), Some(1.0), Some(1.4), None] {
                let speed = move |_| slow(times);
                let mut world = World::new(vec![Show::new(gop, known.map(|off| slow(times) * off))], &speed);
                world.run(600.0);
                let (show, what) = (&world.shows[0], format!("{times} times, {gop} ms, {known:?}"));
                let gop = f64::from(gop) / 1000.0;
                // What the first chunks cost before anything is known, and twice as long to catch up.
                let settled = if known.is_some() { 75.0 } else { 60.0 + 16.0 * times * gop.max(2.0) };
                let lag = show.worst_lag(settled);
                assert!(lag <= AT_HAND_MAX as f64 * gop + AT_HAND_SECONDS + gop, "{what}: {lag} s behind");
                // And one more than is needed is not left out for ever.
                let last = show.left_out;
                assert!(
                    (needed(times)..=needed(times) + 1).contains(&last),
                    "{what}: {last}, {} would do",
                    needed(times)
                );
                let (down, up) = show.changes();
                assert!(down <= 6 && up <= 6, "{what}: {down} down, {up} up");
            }
        }
    }
}

#[test]
fn far_too_slow_a_machine_makes_the_smallest_and_falls_behind_as_little_as_can_be() {
    let speed = |_| slow(10.0);
    let mut world = World::new(vec![Show::new(2000, Some(slow(10.0)))], &speed);
    world.run(300.0);
    assert_eq!(world.shows[0].left_out_after(30.0).iter().min(), Some(&4));
}

#[test]
fn what_is_known_beforehand_spares_the_first_chunks() {
    let speed = |_| slow(4.0);
    let lag = |known| {
        let mut world = World::new(vec![Show::new(2000, known)], &speed);
        world.run(300.0);
        world.shows[0].worst_lag(0.0)
    };
    let (told, not) = (lag(Some(slow(4.0))), lag(None));
    assert!(told < 10.0 && told * 1.5 < not, "{told} s behind, {not} s without being told");
}

#[test]
fn a_takeover_is_caught_up_with_everything_if_it_can_be() {
    for (times, sheds) in [(0.3, false), (0.5, false), (0.95, true)] {
        let speed = move |_| slow(times);
        let mut show = Show::new(2000, Some(slow(times)));
        (0..10).for_each(|_| show.arrive(0.0));
        let mut world = World::new(vec![show], &speed);
        world.run(400.0);
        let show = &world.shows[0];
        assert_eq!(show.done.iter().any(|(.., left_out)| *left_out > 0), sheds, "{times}");
        assert!(show.worst_lag(60.0) < 10.0, "{times}: {}", show.worst_lag(60.0));
    }
}

#[test]
fn what_was_shed_comes_back_rung_by_rung() {
    // Something else has the machine for a minute.
    let speed = |at| if (60.0..120.0).contains(&at) { slow(3.0) } else { slow(0.4) };
    let mut world = World::new(vec![Show::new(2000, Some(slow(0.4)))], &speed);
    world.run(60.0);
    assert_eq!(world.shows[0].left_out, 0);
    world.run(120.0);
    assert!(world.shows[0].left_out >= needed(3.0));
    let mut before = world.shows[0].left_out;
    let most = before;
    for second in 121..300 {
        world.run(f64::from(second));
        let now = world.shows[0].left_out;
        assert!(now == before || now + 1 == before, "one at a time, and never down again");
        before = now;
    }
    assert_eq!(before, 0);
    let since =
        world.shows[0].done.iter().find(|(at, .., left_out)| *at > 120.0 && *left_out == 0).unwrap().0;
    let steps = u32::try_from(most).unwrap();
    assert!(since - 120.0 >= f64::from(steps) * HOLD_SECONDS, "back at {since} s after {steps} steps");
}

#[test]
fn a_rung_that_can_not_be_held_is_tried_ever_more_seldom() {
    // Fast enough for everything half of the time, for 45 s each.
    let speed = |at: f64| if at % 90.0 < 45.0 { slow(0.5) } else { slow(2.0) };
    let mut world = World::new(vec![Show::new(2000, Some(slow(0.5)))], &speed);
    world.run(1800.0);
    let (early, late): (Vec<_>, Vec<_>) = world.shows[0].done.iter().partition(|(at, ..)| *at < 450.0);
    let ups = |done: Vec<&(f64, f64, usize)>| done.windows(2).filter(|w| w[1].2 < w[0].2).count();
    let (early, late) = (ups(early), ups(late));
    assert!(late * 450 < early * 1350, "restored {early} times in 450 s, then {late} times in 1350 s");
}

#[test]
fn two_broadcasts_on_one_machine_both_keep_up() {
    let speed = |_| slow(0.7);
    let mut world =
        World::new(vec![Show::new(2000, Some(slow(0.7))), Show::new(3000, Some(slow(0.7)))], &speed);
    world.run(600.0);
    for show in &world.shows {
        assert!(show.worst_lag(120.0) < 12.0, "{} s behind", show.worst_lag(120.0));
        let (down, up) = show.changes();
        assert!(down >= 1 && down + up <= 12, "{down} down, {up} up");
    }
}

#[test]
fn a_smaller_source_is_not_made_smaller_still() {
    let mut shed = Shed::default();
    let pos = |n| ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(n) };
    let large = job(2000, Some(slow(4.0)));
    shed.ready(WallTime(0), pos(0));
    let first = shed.begin(WallTime(0), pos(0), &large);
    assert!(first.left_out >= 1 && first.change == Some(Change::Shed { behind: Duration::ZERO }));
    shed.end(WallTime(1_500_000), pos(0));
    let small = Profile::P2160.renditions(854, 480, Some(FPS));
    let small = Job::new(180_000, (854, 480), FPS, &small, None);
    shed.ready(WallTime(2_000_000), pos(1));
    assert_eq!(shed.begin(WallTime(2_000_000), pos(1), &small), Decision { left_out: 0, change: None });
    shed.end(WallTime(2_100_000), pos(1));
    shed.ready(WallTime(4_000_000), pos(2));
    // Nor is a large one made smaller because there was one before it: that is found out anew.
    assert_eq!(shed.begin(WallTime(4_000_000), pos(2), &large).left_out, 0);
}
