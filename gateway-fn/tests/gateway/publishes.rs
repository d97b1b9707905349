//! Opens, starts and closes against a real table: who gets on air, as what, and when a new broadcast begins.

use std::collections::BTreeSet;

use super::common::{Stack, WINDOW_SECONDS, close, key, on_air, open, send, start};
use gateway_fn::handle::{Failure, Gateway, Reply};
use media::{
    id::{BroadcastId, Epoch, PublishNo},
    ladder::{Ladder, Profile},
    time::WallTime,
    verdict::Code,
    wire::{
        CloseReason, CloseReply, EncoderEvent, End, EndReply, GatewayRequest, OpenReply, Revocation,
        StartReply,
    },
};
use serde_json::json;
use service::{
    clock,
    table::{Broadcast, Closed, REVOCATION_KEPT_SECONDS, State},
};

fn refused(reply: &OpenReply) -> Code {
    match reply {
        OpenReply::Refused(verdict) => {
            assert!(verdict.message.ends_with('.'), "a sentence: {}", verdict.message);
            verdict.code
        }
        OpenReply::Opened(opened) => panic!("{opened:?}"),
    }
}

#[tokio::test]
async fn an_unknown_key_is_refused() {
    let stack = Stack::start().await;
    let _encoder = stack.encoder("one").await;
    assert_eq!(refused(&open(&stack.gateway(), "nobody", "connection-1", false).await), Code::UnknownKey);
}

#[tokio::test]
async fn without_an_encoder_nobody_gets_on_air() {
    let stack = Stack::start().await;
    let live = stack.live("demo").await;
    let gateway = stack.gateway();
    assert_eq!(refused(&open(&gateway, "demo", "connection-1", false).await), Code::NoEncoder);
    stack.heartbeat("draining", "127.0.0.1:1", true).await;
    assert_eq!(refused(&open(&gateway, "demo", "connection-1", false).await), Code::NoEncoder);
    assert_eq!(stack.table.live(&live).await.unwrap().unwrap().current, None);
}

#[tokio::test]
async fn a_broadcast_has_the_ladder_that_its_live_has_when_it_begins() {
    let stack = Stack::start().await;
    let live = stack.live("demo").await;
    let _encoder = stack.encoder("one").await;
    let mut row = stack.table.live(&live).await.unwrap().unwrap();
    row.source_rung = true;
    stack.table.set_live(&row).await.unwrap();
    let opened = on_air(&stack.gateway(), "demo", "connection-1").await;
    row.source_rung = false;
    stack.table.set_live(&row).await.unwrap();
    assert!(!stack.table.live(&live).await.unwrap().unwrap().source_rung);
    let broadcast = stack.table.broadcast(&opened.broadcast).await.unwrap().unwrap();
    assert_eq!(broadcast.ladder(), Ladder { profile: Profile::P360, source: true });
}

#[tokio::test]
async fn a_broadcast_begins_goes_on_and_answers_the_same_to_the_same_connection() {
    let stack = Stack::start().await;
    let live = stack.live("demo").await;
    let _encoder = stack.encoder("one").await;
    let gateway = stack.gateway();

    let first = on_air(&gateway, "demo", "connection-1").await;
    assert_eq!((&first.live, first.publish, first.availability_start), (&live, PublishNo::FIRST, None));
    // Another process, the reply lost on the way: no second publish.
    assert_eq!(on_air(&stack.gateway(), "demo", "connection-1").await, first);
    let binding = stack.table.binding(&first.broadcast).await.unwrap().unwrap();
    assert_eq!((binding.encoder.as_str(), binding.epoch), ("one", Epoch::FIRST));
    assert_eq!(stack.bound("one").await, 1);

    let second = on_air(&gateway, "demo", "connection-2").await;
    assert_eq!((&second.broadcast, second.publish), (&first.broadcast, PublishNo::FIRST.next()));
    assert_eq!(on_air(&gateway, "demo", "connection-2").await, second);
    assert_eq!(stack.bound("one").await, 1);
    assert_eq!(stack.table.broadcasts_of(&live, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_first_start_fixes_the_availability_start() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let _encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let first = on_air(&gateway, "demo", "connection-1").await;
    let started =
        |at| Reply::Start(StartReply::Started { availability_start: WallTime(at), resume_at: None });
    assert_eq!(send(&gateway, start(&first, 1_000)).await, started(1_000));
    assert_eq!(send(&gateway, start(&first, 2_000)).await, started(1_000));

    let second = on_air(&gateway, "demo", "connection-2").await;
    assert_eq!(second.availability_start, Some(WallTime(1_000)));
    // 2000 µs after the first; the same answer to the same publish, whatever it says of itself then.
    let resumed = StartReply::Started { availability_start: WallTime(1_000), resume_at: Some(180) };
    assert_eq!(send(&gateway, start(&second, 3_000)).await, Reply::Start(resumed.clone()));
    assert_eq!(send(&gateway, start(&second, 9_000)).await, Reply::Start(resumed));
    let stopped = |reply| match reply {
        Reply::Start(StartReply::Stop(verdict)) => verdict.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(stopped(send(&gateway, start(&first, 4_000)).await), Code::Superseded);
    stack.table.begin_ending(&first.broadcast, clock::now()).await.unwrap();
    assert_eq!(stopped(send(&gateway, start(&second, 5_000)).await), Code::Ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_starts_agree() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let _encoder = stack.encoder("one").await;
    let opened = on_air(&stack.gateway(), "demo", "connection-1").await;
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (gateway, request) = (stack.gateway(), start(&opened, n));
        racers.spawn(async move { format!("{:?}", send(&gateway, request).await) });
    }
    let replies: BTreeSet<_> = racers.join_all().await.into_iter().collect();
    assert_eq!(replies.len(), 1, "{replies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_opens_of_one_live_share_a_broadcast() {
    let stack = Stack::start().await;
    let live = stack.live("demo").await;
    let _encoders = (stack.encoder("one").await, stack.encoder("two").await);
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let gateway = stack.gateway();
        racers.spawn(async move { on_air(&gateway, "demo", &format!("connection-{n}")).await });
    }
    let opened = racers.join_all().await;
    let broadcasts: BTreeSet<_> = opened.iter().map(|o| &o.broadcast).collect();
    let publishes: BTreeSet<_> = opened.iter().map(|o| o.publish.get()).collect();
    assert_eq!(broadcasts.len(), 1);
    assert_eq!(publishes, (1..=8).collect());
    assert_eq!(stack.table.broadcasts_of(&live, 9).await.unwrap().len(), 1);
    assert_eq!(stack.bound("one").await + stack.bound("two").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_opens_of_many_lives_spread_within_the_bound() {
    let stack = Stack::start().await;
    let mut encoders = Vec::new();
    for name in ["one", "two", "three"] {
        encoders.push(stack.encoder(name).await);
    }
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..12 {
        let name = format!("live-{n}");
        stack.live(&name).await;
        let gateway = stack.gateway();
        racers.spawn(async move { on_air(&gateway, &name, "connection-1").await.broadcast });
    }
    let broadcasts: BTreeSet<BroadcastId> = racers.join_all().await.into_iter().collect();
    assert_eq!(broadcasts.len(), 12);
    let mut bound = Vec::new();
    for encoder in &encoders {
        bound.push(stack.bound(encoder.id.as_str()).await);
    }
    assert_eq!(bound.iter().sum::<i64>(), 12);
    // Four each would be fair.
    assert!(bound.iter().all(|&n| n <= 5), "{bound:?}");
}

#[tokio::test]
async fn after_an_unpublish_the_next_open_is_a_new_broadcast() {
    let stack = Stack::start().await;
    let live = stack.live("demo").await;
    let encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let first = on_air(&gateway, "demo", "connection-1").await;
    let reply = send(&gateway, close(&first, 7, CloseReason::Unpublished)).await;
    assert_eq!(reply, Reply::Close(CloseReply::Closed));
    let told = EncoderEvent::Close { publish: first.publish, chunks: 7, reason: CloseReason::Unpublished };
    assert_eq!(encoder.heard(), [(1, told)]);
    let stored = stack.table.broadcast(&first.broadcast).await.unwrap().unwrap();
    assert_eq!(stored.state, State::Live, "to end it is the encoder's");

    // The same connection may publish again.
    let second = on_air(&gateway, "demo", "connection-1").await;
    assert_ne!(second.broadcast, first.broadcast);
    assert_eq!(second.publish, PublishNo::FIRST);
    assert_eq!(encoder.heard(), [(1, EncoderEvent::End)]);
    let stored = stack.table.broadcast(&first.broadcast).await.unwrap().unwrap();
    assert_eq!(stored.state, State::Ending);
    assert_eq!(stack.table.live(&live).await.unwrap().unwrap().current, Some(second.broadcast));
    assert_eq!(stack.bound("one").await, 2, "the first is freed by the encoder, when it has finished");
}

#[tokio::test]
async fn a_lost_publisher_may_return_within_the_window() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let first = on_air(&gateway, "demo", "connection-1").await;
    send(&gateway, close(&first, 7, CloseReason::Lost)).await;
    let second = on_air(&gateway, "demo", "connection-2").await;
    assert_eq!((&second.broadcast, second.publish), (&first.broadcast, PublishNo::FIRST.next()));

    // A window ago and a second.
    let at = clock::now().plus_micros(-1_000_000 * i64::from(WINDOW_SECONDS + 1));
    let closed = Closed { publish: second.publish, chunks: 3, reason: CloseReason::Lost, at };
    stack.table.note_closed(&first.broadcast, closed).await.unwrap();
    encoder.heard();
    let third = on_air(&gateway, "demo", "connection-3").await;
    assert_ne!(third.broadcast, first.broadcast);
    assert_eq!(encoder.heard(), [(1, EncoderEvent::End)]);
}

#[tokio::test]
async fn a_close_sent_again_does_not_move_the_window_and_a_ghost_s_is_ignored() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let first = on_air(&gateway, "demo", "connection-1").await;
    send(&gateway, close(&first, 7, CloseReason::Lost)).await;
    let noted = stack.table.broadcast(&first.broadcast).await.unwrap().unwrap().closed;
    send(&gateway, close(&first, 7, CloseReason::Lost)).await;
    assert_eq!(stack.table.broadcast(&first.broadcast).await.unwrap().unwrap().closed, noted);
    assert_eq!(encoder.heard().len(), 2, "the encoder may not have heard the first time");

    let second = on_air(&gateway, "demo", "connection-2").await;
    let reply = send(&gateway, close(&first, 9, CloseReason::Lost)).await;
    assert_eq!(reply, Reply::Close(CloseReply::Closed));
    assert_eq!(stack.table.broadcast(&first.broadcast).await.unwrap().unwrap().closed, noted);
    assert_eq!(encoder.heard(), []);
    assert_eq!(on_air(&gateway, "demo", "connection-2").await, second);
}

#[tokio::test]
async fn a_broadcast_that_everybody_has_left_is_finished_by_the_next_open() {
    let stack = Stack::start().await;
    let live = stack.live("demo").await;
    let dead = stack.heartbeat("dead", "127.0.0.1:1", false).await;
    let yesterday = clock::now().plus_micros(-86_400_000_000);
    let old = Broadcast {
        broadcast: BroadcastId::new(yesterday.unix_ms(), [1; 10]),
        live,
        state: State::Live,
        publish: PublishNo::FIRST,
        connection: "connection-0".to_owned(),
        earlier: vec![],
        filler: false,
        profile: Profile::P360,
        source_rung: false,
        window_seconds: WINDOW_SECONDS,
        limits: media::limits::Limits::default(),
        opened: yesterday,
        availability_start: None,
        closed: None,
        ended: None,
    };
    stack.table.create_broadcast(&old, None, &dead).await.unwrap();
    stack.table.forget_encoder(&dead.id).await.unwrap();
    let encoder = stack.encoder("one").await;

    let opened = on_air(&stack.gateway(), "demo", "connection-1").await;
    assert_ne!(opened.broadcast, old.broadcast);
    assert_eq!(encoder.heard(), [(2, EncoderEvent::End)], "rebound, and told to finish it");
}

#[tokio::test]
async fn a_filler_yields_to_a_publisher_and_does_not_come_back_over_it() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let OpenReply::Opened(filler) = open(&gateway, "demo", "connection-1", true).await else { panic!() };
    let OpenReply::Opened(again) = open(&gateway, "demo", "connection-2", true).await else { panic!() };
    assert_eq!((&again.broadcast, again.publish), (&filler.broadcast, PublishNo::FIRST.next()));

    let real = on_air(&gateway, "demo", "connection-3").await;
    assert_ne!(real.broadcast, filler.broadcast);
    assert_eq!(encoder.heard(), [(1, EncoderEvent::End)]);
    assert_eq!(refused(&open(&gateway, "demo", "connection-4", true).await), Code::Superseded);
    assert_eq!(on_air(&gateway, "demo", "connection-3").await, real);
}

#[tokio::test]
async fn the_operator_ends_what_is_on_air() {
    let stack = Stack::start().await;
    let live = stack.live("demo").await;
    let encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let end = |live: &str| GatewayRequest::End(End { live: live.parse().unwrap() });
    assert_eq!(send(&gateway, end("nobody")).await, Reply::End(EndReply::NoSuchLive));
    assert_eq!(send(&gateway, end("demo")).await, Reply::End(EndReply::NotOnAir));

    let first = on_air(&gateway, "demo", "connection-1").await;
    let ending = Reply::End(EndReply::Ending { broadcast: first.broadcast.clone() });
    assert_eq!(send(&gateway, end("demo")).await, ending);
    assert_eq!(send(&stack.gateway(), end("demo")).await, ending, "sent again");
    assert_eq!(encoder.heard(), [(1, EncoderEvent::End), (1, EncoderEvent::End)]);

    let broadcast = stack.table.broadcast(&first.broadcast).await.unwrap().unwrap();
    let binding = stack.table.binding(&first.broadcast).await.unwrap().unwrap();
    stack.table.end_broadcast(&broadcast, &binding, clock::now(), 90_000, true).await.unwrap();
    assert_eq!(send(&gateway, end("demo")).await, Reply::End(EndReply::NotOnAir));
    assert_ne!(on_air(&gateway, "demo", "connection-2").await.broadcast, first.broadcast);
    assert_eq!(stack.table.broadcasts_of(&live, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_revoked_is_told_whoever_asks_and_for_a_while() {
    let stack = Stack::start().await;
    let (shop, other) = (stack.live("shop").await, stack.live("other").await);
    let _encoder = stack.encoder("one").await;
    let gateway = stack.gateway();
    let told = async |gateway: &Gateway| match send(gateway, GatewayRequest::Revoked).await {
        Reply::Revoked(reply) => reply.revocations,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&gateway).await, []);

    let opened = on_air(&gateway, "other", "connection-1").await;
    send(&gateway, GatewayRequest::End(End { live: other.clone() })).await;
    let ended = Revocation::Broadcast { broadcast: opened.broadcast };
    assert_eq!(told(&stack.gateway()).await, std::slice::from_ref(&ended));

    let row = stack.table.live(&shop).await.unwrap().unwrap();
    stack.table.rotate_key(&row, &key("new").hash(), clock::now()).await.unwrap();
    let replaced = Revocation::Key { live: shop.clone(), key_hash: key("shop").hash() };
    stack.table.set_disabled(&shop, true, clock::now()).await.unwrap();
    let disabled = Revocation::Live { live: shop.clone() };
    let mut all = told(&gateway).await;
    all.sort_by_key(|revocation| format!("{revocation:?}"));
    assert_eq!(all, [ended.clone(), replaced.clone(), disabled]);

    // Who may publish goes by the table itself.
    assert_eq!(refused(&open(&gateway, "shop", "connection-2", false).await), Code::UnknownKey);
    assert_eq!(refused(&open(&gateway, "new", "connection-3", false).await), Code::LiveDisabled);
    stack.table.set_disabled(&shop, false, clock::now()).await.unwrap();
    on_air(&gateway, "new", "connection-4").await;
    let mut all = told(&gateway).await;
    all.sort_by_key(|revocation| format!("{revocation:?}"));
    assert_eq!(all, [ended, replaced]);

    let quarter = clock::now().plus_micros((REVOCATION_KEPT_SECONDS + 1) * 1_000_000);
    assert_eq!(stack.table.revocations(quarter).await.unwrap(), [], "not for ever");
    let nobody = "nobody".parse().unwrap();
    assert!(stack.table.set_disabled(&nobody, true, clock::now()).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn what_is_not_an_event_is_a_clear_error() {
    let stack = Stack::start().await;
    let gateway = stack.gateway();
    let hash = "0".repeat(64);
    for (bad, part) in [
        (json!({"event": "fly"}), "fly"),
        (json!("open"), "open"),
        (json!({}), "event"),
        (json!({"event": "end", "live": "Not A Live"}), "a live is named"),
        (json!({"event": "open", "connection": "short", "key_hash": hash}), "a connection is"),
        (json!({"event": "open", "connection": "connection 1", "key_hash": hash}), "a connection is"),
        (json!({"event": "open", "connection": "c".repeat(65), "key_hash": hash}), "a connection is"),
    ] {
        let error = gateway.handle(bad).await.unwrap_err();
        assert!(matches!(error, Failure::Invalid(_)), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_an_error_and_not_a_refusal() {
    let stack = Stack::start().await;
    let elsewhere = service::table::Table::new(&super::common::config(&stack.endpoint), "another");
    let gateway =
        gateway_fn::handle::Gateway::new(elsewhere, service::config::Secret::new(super::common::SECRET));
    let event = json!({"event": "end", "live": "demo"});
    assert!(matches!(gateway.handle(event).await, Err(Failure::Table(_))));
}
