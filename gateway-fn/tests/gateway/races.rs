//! Writes that took effect while their replies were lost, and calls that fail for now: what the gateway does has the same effect, once.

use gateway_fn::handle::{Gateway, Reply};
use media::{
    id::PublishNo,
    time::WallTime,
    wire::{
        CloseReason, CloseReply, EncoderEvent, End, EndReply, GatewayRequest, Handover, HandoverReply,
        StartReply, SweepReply,
    },
};
use service::{
    config::Secret,
    table::{Floor, State},
};

use super::{
    common::{SECRET, Stack, accepted, assert_bound, bound, chunk, close, on_air, pos, send, start},
    proxy::{Fault, Unsure},
};

const ONE: &str = "UpdateItem";
const MANY: &str = "TransactWriteItems";

/// A gateway on an unsure way to the table.
async fn unsure(stack: &Stack) -> (Gateway, Unsure) {
    let way = Unsure::to(&stack.endpoint).await;
    (Gateway::new(way.table.clone(), Secret::new(SECRET)), way)
}

#[tokio::test]
async fn an_open_whose_broadcast_was_made_unheard_is_that_broadcast() {
    for fault in [Fault::ReplyLost, Fault::Throttled] {
        let stack = Stack::start().await;
        let live = stack.live("demo").await;
        let _encoder = stack.encoder("one").await;
        let (gateway, way) = unsure(&stack).await;
        way.fail(MANY, fault);
        let opened = on_air(&gateway, "demo", "connection-1").await;
        assert!(way.is_spent());
        assert_eq!(opened.publish, PublishNo::FIRST);
        let all = stack.table.broadcasts_of(&live, 9).await.unwrap();
        assert_eq!(all.iter().map(|entry| &entry.broadcast).collect::<Vec<_>>(), [&opened.broadcast]);
        assert_eq!(stack.bound("one").await, 1);
    }
}

#[tokio::test]
async fn a_next_publish_given_unheard_is_given_once() {
    for fault in [Fault::ReplyLost, Fault::Throttled] {
        let stack = Stack::start().await;
        let (_, first, _one, _two) = bound(&stack).await;
        let (gateway, way) = unsure(&stack).await;
        way.fail(ONE, fault);
        let second = on_air(&gateway, "demo", "connection-2").await;
        assert!(way.is_spent());
        assert_eq!((second.broadcast, second.publish), (first.broadcast, first.publish.next()));
    }
}

#[tokio::test]
async fn a_broadcast_that_began_to_end_unheard_is_ended_and_replaced() {
    for fault in [Fault::ReplyLost, Fault::Throttled] {
        let stack = Stack::start().await;
        let (sure, first, one, two) = bound(&stack).await;
        send(&sure, close(&first, 3, CloseReason::Unpublished)).await;
        one.heard();
        let (gateway, way) = unsure(&stack).await;
        way.fail(ONE, fault);
        way.fail(MANY, fault);
        let second = on_air(&gateway, "demo", "connection-2").await;
        assert!(way.is_spent());
        assert_eq!(second.publish, PublishNo::FIRST);
        assert_ne!(second.broadcast, first.broadcast);
        let old = stack.table.broadcast(&first.broadcast).await.unwrap().unwrap();
        assert_eq!(old.state, State::Ending);
        assert!(one.heard().contains(&(1, EncoderEvent::End)));
        assert_eq!(stack.bound(one.id.as_str()).await + stack.bound(two.id.as_str()).await, 2);
    }
}

#[tokio::test]
async fn an_availability_start_and_a_floor_fixed_unheard_are_what_was_fixed() {
    for fault in [Fault::ReplyLost, Fault::Throttled] {
        let stack = Stack::start().await;
        let (sure, first, _one, _two) = bound(&stack).await;
        let (gateway, way) = unsure(&stack).await;
        let started =
            |resume_at| Reply::Start(StartReply::Started { availability_start: WallTime(1_000), resume_at });
        way.fail(ONE, fault);
        assert_eq!(send(&gateway, start(&first, 1_000)).await, started(None));
        assert!(way.is_spent());
        let second = on_air(&sure, "demo", "connection-2").await;
        way.fail(ONE, fault);
        assert_eq!(send(&gateway, start(&second, 3_000)).await, started(Some(180)));
        assert!(way.is_spent());
        let binding = stack.table.binding(&first.broadcast).await.unwrap().unwrap();
        assert_eq!(binding.floor, Some(Floor { publish: second.publish, at: 180 }));
    }
}

#[tokio::test]
async fn a_close_noted_unheard_keeps_its_time_and_is_told() {
    for fault in [Fault::ReplyLost, Fault::Throttled] {
        let stack = Stack::start().await;
        let (_, opened, one, _two) = bound(&stack).await;
        let (gateway, way) = unsure(&stack).await;
        way.fail(ONE, fault);
        let reply = send(&gateway, close(&opened, 4, CloseReason::Lost)).await;
        assert_eq!(reply, Reply::Close(CloseReply::Closed));
        assert!(way.is_spent());
        let told = EncoderEvent::Close { publish: opened.publish, chunks: 4, reason: CloseReason::Lost };
        assert_eq!(one.heard(), [(1, told)]);
        let noted = stack.table.broadcast(&opened.broadcast).await.unwrap().unwrap().closed.unwrap();
        assert_eq!((noted.chunks, noted.reason), (4, CloseReason::Lost));
    }
}

#[tokio::test]
async fn an_end_begun_unheard_is_told() {
    for fault in [Fault::ReplyLost, Fault::Throttled] {
        let stack = Stack::start().await;
        let (_, opened, one, _two) = bound(&stack).await;
        let (gateway, way) = unsure(&stack).await;
        way.fail(MANY, fault);
        let reply = send(&gateway, GatewayRequest::End(End { live: opened.live.clone() })).await;
        assert_eq!(reply, Reply::End(EndReply::Ending { broadcast: opened.broadcast }));
        assert!(way.is_spent());
        assert_eq!(one.heard(), [(1, EncoderEvent::End)]);
    }
}

#[tokio::test]
async fn a_broadcast_moved_unheard_is_moved_once() {
    for fault in [Fault::ReplyLost, Fault::Throttled] {
        let stack = Stack::start().await;
        let (_, opened, mut one, two) = bound(&stack).await;
        let (gateway, way) = unsure(&stack).await;
        one.kill().await;
        way.fail(MANY, fault);
        assert_eq!(chunk(&gateway, &opened, 0).await, accepted());
        assert!(way.is_spent());
        assert_bound(&stack, &opened, &two, &one, 2).await;
        assert_eq!(two.heard(), [(2, EncoderEvent::Chunk(pos(&opened, 0)))]);
    }
}

#[tokio::test]
async fn a_handover_made_unheard_is_made_once() {
    for fault in [Fault::ReplyLost, Fault::Throttled] {
        let stack = Stack::start().await;
        let (_, opened, one, two) = bound(&stack).await;
        let (gateway, way) = unsure(&stack).await;
        way.fail(MANY, fault);
        let epoch = stack.table.binding(&opened.broadcast).await.unwrap().unwrap().epoch;
        let handover = Handover { live: opened.live.clone(), broadcast: opened.broadcast.clone(), epoch };
        let reply = send(&gateway, GatewayRequest::Handover(handover)).await;
        assert_eq!(reply, Reply::Handover(HandoverReply::Moved));
        assert!(way.is_spent());
        assert_bound(&stack, &opened, &two, &one, 2).await;
        assert_eq!(two.heard(), [(2, EncoderEvent::Check)]);
    }
}

#[tokio::test]
async fn a_whole_show_gets_through_a_table_that_throttles_one_call_in_three() {
    let stack = Stack::start().await;
    let (_, _, mut one, two) = bound(&stack).await;
    let (gateway, way) = unsure(&stack).await;
    way.throttle_each(3);
    let second = on_air(&gateway, "demo", "connection-2").await;
    assert!(matches!(send(&gateway, start(&second, 1_000)).await, Reply::Start(StartReply::Started { .. })));
    assert_eq!(chunk(&gateway, &second, 0).await, accepted());
    one.kill().await;
    assert_eq!(chunk(&gateway, &second, 1).await, accepted());
    let served = SweepReply { found: 1, served: 1, over: 0, left: 0 };
    assert_eq!(send(&gateway, GatewayRequest::Sweep).await, Reply::Sweep(served));
    let reply = send(&gateway, close(&second, 2, CloseReason::Lost)).await;
    assert_eq!(reply, Reply::Close(CloseReply::Closed));
    assert_bound(&stack, &second, &two, &one, 2).await;
}
