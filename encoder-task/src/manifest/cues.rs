//! Where timed events lie on a timeline. On the live timeline an event is at its own presentation time. In the replay it moves with the
//! picture that it belongs to: where holes are closed, what fell into a hole is at what comes after it.

use media::{
    cue::Cue,
    time::{Ticks, VIDEO_TIMESCALE},
};

use super::{State, Timeline, periods::Plan};

/// A timed event on a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed<'a> {
    pub(super) cue: &'a Cue,
    /// Which Period.
    pub(super) plan: usize,
    /// After the Period's start, in 1/90 000 s.
    pub(super) after: Ticks,
    /// How long it lasts in 1/90 000 s, if it says.
    pub(super) lasts: Option<Ticks>,
}

impl<'a> Timeline<'a> {
    /// Every timed event that has a place, in the order of the place. Those that follow the last picture of what is over never happened.
    pub(super) fn cues(&self) -> Vec<Placed<'a>> {
        let placed = |cue: &'a Cue| {
            let (plan, after) = self.place(cue.at)?;
            let lasts = cue.duration_ms.map(rescaled);
            Some(Placed { cue, plan, after, lasts })
        };
        let mut cues: Vec<_> = self.ledger.cues.iter().filter_map(placed).collect();
        cues.sort_by_key(|placed| (placed.plan, placed.after, placed.cue.number));
        cues
    }

    fn place(&self, at: Ticks) -> Option<(usize, Ticks)> {
        let plans = || self.plans.iter().enumerate();
        let holds = |plan: &Plan<'_>| (plan.origin..plan.origin + plan.length).contains(&at);
        if let Some((n, plan)) = plans().find(|(_, plan)| holds(plan)) {
            return Some((n, at - plan.origin));
        }
        if self.state == State::OnAir
            && let Some((n, plan)) = plans().rev().find(|(_, plan)| plan.origin <= at)
        {
            // Ahead of what is there, or in a hole between two Periods.
            return Some((n, at - plan.origin));
        }
        let next = plans().filter(|(_, plan)| plan.origin > at).min_by_key(|(_, plan)| plan.origin);
        next.map(|(n, _)| (n, 0))
    }

    /// Those that a window has which begins at `from`: in it or after it, or lasting into it. What lasts into it out of a Period that is
    /// not listed any more is at the start of the first one that is.
    pub(super) fn cues_in_window(&self, from: Option<Ticks>) -> Vec<Placed<'a>> {
        let Some(from) = from else { return self.cues() };
        let first = self.plans.iter().position(|plan| plan.origin + plan.length > from).unwrap_or(0);
        let begins = |plan: usize| self.plans.get(plan).map_or(0, |plan| plan.origin);
        let windowed = |placed: Placed<'a>| {
            let at = begins(placed.plan) + placed.after;
            if at > from && placed.plan >= first {
                return Some(placed);
            }
            let ends = at + placed.lasts?;
            if ends <= from {
                return None;
            }
            let start = begins(first);
            if placed.plan >= first {
                return Some(placed);
            }
            (ends > start).then_some(Placed { plan: first, after: 0, lasts: Some(ends - start), ..placed })
        };
        self.cues().into_iter().filter_map(windowed).collect()
    }
}

fn rescaled(ms: u32) -> Ticks {
    Ticks::from(ms) * Ticks::from(VIDEO_TIMESCALE) / 1000
}
