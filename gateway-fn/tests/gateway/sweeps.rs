//! Handing over and sweeping: that every broadcast has an encoder that works on it.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use gateway_fn::{
    decide::open::SILENCE_SLACK_MICROS,
    handle::{Gateway, Reply},
};
use media::{
    id::{BroadcastId, Epoch, PublishNo},
    ladder::Profile,
    wire::{EncoderEvent, EncoderReply, GatewayRequest, Handover, HandoverReply, Opened, SweepReply},
};
use service::{
    clock,
    table::{Broadcast, State},
};

use super::common::{
    Answer, Stack, TABLE, WINDOW_SECONDS, accepted, assert_bound, bound, chunk, config, on_air, pos, send,
};

async fn sweep(gateway: &Gateway) -> SweepReply {
    match send(gateway, GatewayRequest::Sweep).await {
        Reply::Sweep(reply) => reply,
        other => panic!("{other:?}"),
    }
}

async fn hand_over(gateway: &Gateway, opened: &Opened, epoch: u64) -> HandoverReply {
    let handover =
        Handover { live: opened.live.clone(), broadcast: opened.broadcast.clone(), epoch: Epoch(epoch) };
    match send(gateway, GatewayRequest::Handover(handover)).await {
        Reply::Handover(reply) => reply,
        other => panic!("{other:?}"),
    }
}

async fn end(stack: &Stack, opened: &Opened) {
    let broadcast = stack.table.broadcast(&opened.broadcast).await.unwrap().unwrap();
    let binding = stack.table.binding(&opened.broadcast).await.unwrap().unwrap();
    stack.table.end_broadcast(&broadcast, &binding, clock::now(), 90_000, true).await.unwrap();
}

#[tokio::test]
async fn an_encoder_hands_a_broadcast_over_once() {
    let stack = Stack::start().await;
    let (gateway, opened, first, second) = bound(&stack).await;
    assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
    first.heard();
    for gateway in [&gateway, &stack.gateway(), &gateway] {
        assert_eq!(hand_over(gateway, &opened, 1).await, HandoverReply::Moved);
        assert_bound(&stack, &opened, &second, &first, 2).await;
    }
    assert_eq!(first.heard(), [], "it knows");
    assert_eq!(second.heard(), [(2, EncoderEvent::Check)]);
    assert_eq!(chunk(&gateway, &opened, 1).await, accepted());
    assert_eq!(second.heard(), [(2, EncoderEvent::Chunk(pos(&opened, 1)))]);
}

#[tokio::test]
async fn a_handover_goes_on_to_whoever_answers() {
    let stack = Stack::start().await;
    let (gateway, opened, first, mut second) = bound(&stack).await;
    second.kill().await;
    // Nobody is left but the one that gives up, and it is not given the broadcast back.
    let reply = hand_over(&gateway, &opened, 1).await;
    assert!(matches!(reply, HandoverReply::Retry { .. }), "{reply:?}");
    assert_eq!(first.heard(), []);
    let third = stack.encoder("three").await;
    let now = stack.table.binding(&opened.broadcast).await.unwrap().unwrap().epoch;
    assert_eq!(hand_over(&gateway, &opened, now.0).await, HandoverReply::Moved);
    assert_eq!(third.heard().last(), Some(&(now.0 + 1, EncoderEvent::Check)));
}

#[tokio::test]
async fn what_is_over_needs_no_handing_over() {
    let stack = Stack::start().await;
    let (gateway, opened, first, second) = bound(&stack).await;
    second.then(Answer::Reply(EncoderReply::Over));
    assert_eq!(hand_over(&gateway, &opened, 1).await, HandoverReply::Over);
    end(&stack, &opened).await;
    assert_eq!(hand_over(&gateway, &opened, 1).await, HandoverReply::Over);
    let unknown = Opened { broadcast: BroadcastId::new(7, [7; 10]), ..opened };
    assert_eq!(hand_over(&gateway, &unknown, 1).await, HandoverReply::Over);
    assert_eq!((first.heard().len(), second.heard().len()), (0, 1));
}

#[tokio::test]
async fn a_sweep_finds_an_encoder_for_each_broadcast() {
    let stack = Stack::start().await;
    let (gateway, served, first, mut second) = bound(&stack).await;
    assert_eq!(sweep(&gateway).await, SweepReply { found: 1, served: 1, over: 0, left: 0 });
    assert_eq!(first.heard(), [(1, EncoderEvent::Check)]);
    // More broadcasts than two encoders share unevenly, so that each has some.
    let mut all = vec![served];
    for n in 0..5 {
        let name = format!("live-{n}");
        stack.live(&name).await;
        all.push(on_air(&gateway, &name, "connection-1").await);
    }
    let on_second = stack.bound(second.id.as_str()).await;
    assert!(on_second > 0);
    second.kill().await;
    end(&stack, &all.pop().unwrap()).await;
    assert_eq!(sweep(&gateway).await, SweepReply { found: 5, served: 5, over: 0, left: 0 });
    assert_eq!(
        (stack.bound("one").await + stack.bound("two").await, stack.bound(second.id.as_str()).await),
        (5, 0)
    );
    assert_eq!(sweep(&stack.gateway()).await, SweepReply { found: 5, served: 5, over: 0, left: 0 });
}

#[tokio::test]
async fn a_sweep_without_encoders_leaves_all_to_the_next() {
    let stack = Stack::start().await;
    let (gateway, _, mut first, mut second) = bound(&stack).await;
    first.kill().await;
    second.kill().await;
    assert_eq!(sweep(&gateway).await, SweepReply { found: 1, served: 0, over: 0, left: 1 });
    let third = stack.encoder("three").await;
    assert_eq!(sweep(&gateway).await, SweepReply { found: 1, served: 1, over: 0, left: 0 });
    assert_eq!(third.heard().len(), 1);
}

#[tokio::test]
async fn a_sweep_takes_off_the_list_what_is_not_on_air() {
    let stack = Stack::start().await;
    let (gateway, opened, first, _second) = bound(&stack).await;
    let client = Client::new(&config(&stack.endpoint));
    let listed = |id: &BroadcastId| {
        let put = client.put_item().table_name(TABLE).item("pk", AttributeValue::S("ONAIR".to_owned()));
        put.item("sk", AttributeValue::S(id.to_string()))
            .item("live", AttributeValue::S("demo".to_owned()))
            .send()
    };
    let ended = opened.broadcast.clone();
    end(&stack, &opened).await;
    listed(&ended).await.unwrap();
    listed(&BroadcastId::new(7, [7; 10])).await.unwrap();
    assert_eq!(sweep(&gateway).await, SweepReply { found: 2, served: 0, over: 2, left: 0 });
    assert_eq!(sweep(&gateway).await, SweepReply::default());
    assert_eq!(first.heard(), []);
}

#[tokio::test]
async fn a_sweep_finds_an_encoder_for_a_publish_that_never_began() {
    let stack = Stack::start().await;
    let live = stack.live("demo").await;
    let dead = stack.heartbeat("dead", "127.0.0.1:1", false).await;
    let opened =
        clock::now().plus_micros(-(i64::from(WINDOW_SECONDS) * 1_000_000 + SILENCE_SLACK_MICROS + 1));
    let broadcast = Broadcast {
        broadcast: BroadcastId::new(opened.unix_ms(), [1; 10]),
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
        opened,
        availability_start: None,
        closed: None,
        ended: None,
    };
    stack.table.create_broadcast(&broadcast, None, &dead).await.unwrap();
    let encoder = stack.encoder("one").await;
    assert_eq!(sweep(&stack.gateway()).await, SweepReply { found: 1, served: 1, over: 0, left: 0 });
    assert_eq!(encoder.heard(), [(2, EncoderEvent::Check)], "to end it is the encoder's");
    let stored = stack.table.broadcast(&broadcast.broadcast).await.unwrap().unwrap();
    assert_eq!(stored.state, State::Live);
}

#[tokio::test]
async fn new_encoders_move_no_binding_that_stands() {
    let stack = Stack::start().await;
    let (gateway, opened, first, second) = bound(&stack).await;
    let mut more = Vec::new();
    for n in 0..6 {
        more.push(stack.encoder(&format!("more-{n}")).await);
    }
    assert_eq!(chunk(&stack.gateway(), &opened, 0).await, accepted());
    assert_eq!(sweep(&stack.gateway()).await.served, 1);
    let again = on_air(&gateway, "demo", "connection-2").await;
    assert_eq!(chunk(&stack.gateway(), &again, 0).await, accepted());
    assert_bound(&stack, &opened, &first, &second, 1).await;
    assert!(more.iter().all(|encoder| encoder.heard().is_empty()));
}
