# The root module against a mocked provider: what the plan must say whatever AWS answers.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["a", "b", "c", "d"] }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }
  mock_data "aws_secretsmanager_random_password" {
    defaults = { random_password = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/role" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:gopcast-gateway" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:group" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/gopcast-gateway-sweep" }
  }
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/net/gopcast-ingest/0123456789abcdef" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/gopcast-edge/0123456789abcdef" }
  }
  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/net/gopcast-ingest/0123456789abcdef/0123456789abcdef" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/task:1" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hop", id = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hop" }
  }
  mock_resource "aws_cloudfront_distribution" {
    defaults = { arn = "arn:aws:cloudfront::123456789012:distribution/E1", domain_name = "d1.cloudfront.net" }
  }
  mock_resource "aws_cloudfront_function" {
    defaults = { arn = "arn:aws:cloudfront::123456789012:function/gopcast-request" }
  }
  mock_resource "aws_globalaccelerator_accelerator" {
    defaults = { id = "arn:aws:globalaccelerator::123456789012:accelerator/1", dns_name = "a1.awsglobalaccelerator.com" }
  }
  mock_resource "aws_globalaccelerator_listener" {
    defaults = { id = "arn:aws:globalaccelerator::123456789012:accelerator/1/listener/1" }
  }
}

mock_provider "aws" {
  alias = "us_east_1"
}

variables {
  region         = "eu-west-1"
  ingest_domain  = "ingest.example.com"
  tls_secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tls-AbCdEf"
  gateway_zip    = "tests/function.zip"
  events_zip     = "tests/function.zip"
  image_tag      = "1.0.0"
}

run "defaults" {
  assert {
    condition     = output.ingest_url == "rtmps://ingest.example.com/live" && output.playback_base_url == "https://d1.cloudfront.net"
    error_message = "the URLs are those of the domains"
  }
  assert {
    condition     = output.cli.s3.bucket == "gopcast-123456789012-eu-west-1" && output.cli.dynamodb.table == "gopcast"
    error_message = "the command is told bucket and table"
  }
  assert {
    condition     = length(module.network.private_subnet_ids) == 3 && length(module.network.public_subnet_ids) == 3
    error_message = "three zones"
  }
  assert {
    condition     = length(output.alarms) == length(local.watched.alarms) + length(local.watched.cdn_alarms)
    error_message = "every alarm of the data exists"
  }
  # docs/CONFIGURATION.md: an edge tries for 110 s, an encoder for 25 s, the sweep answers within 11 s.
  assert {
    condition     = local.services.edge.stop_timeout > 110 && local.services.edge.stop_timeout <= 120
    error_message = "ECS gives an edge the time it takes to drain; Fargate allows no more than 120 s"
  }
  assert {
    condition     = local.services.encoder.stop_timeout > 25 && local.services.encoder.stop_timeout <= 120
    error_message = "ECS gives an encoder the time it takes to drain"
  }
  assert {
    condition     = local.services.gateway.timeout > 11
    error_message = "the sweep answers within 11 s"
  }
  assert {
    condition     = jsonencode(local.services.gateway.sweep.input) == jsonencode({ event = "sweep" })
    error_message = "the schedule sends what the gateway takes for a sweep"
  }
  assert {
    condition     = output.event_bus_arn == "arn:aws:events:eu-west-1:123456789012:event-bus/default"
    error_message = "events are put on the account's own bus"
  }
  # One call of the bus: 4 tries of 5 s, and waits of 0.1 to 0.4 s.
  assert {
    condition     = local.services.events.timeout > 21
    error_message = "the events function has the time that its tries take"
  }
  assert {
    condition     = local.cdn.error_ttl <= 1
    error_message = "an error is not kept for more than a second"
  }
}

run "what_is_asked_for_is_there" {
  variables {
    accelerator              = true
    edge_regions             = { us-east-1 = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/gopcast-ingest/1" }
    playback_domain          = "watch.example.com"
    playback_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    zone_id                  = "Z1"
    viewer_keys              = { one = "-----BEGIN PUBLIC KEY-----\n" }
    encoders                 = { min = 3, max = 5 }
    event_bus                = "shows"
  }
  assert {
    condition     = output.playback_base_url == "https://watch.example.com"
    error_message = "viewers use the own domain"
  }
  assert {
    condition     = output.ingest_target == "a1.awsglobalaccelerator.com"
    error_message = "the ingest domain leads to the accelerator"
  }
  assert {
    condition     = length(aws_route53_record.ingest) == 1 && length(aws_route53_record.playback) == 2
    error_message = "records are made in the zone"
  }
  assert {
    condition     = endswith(output.event_bus_arn, ":event-bus/shows") && output.edge_region.event_bus_arn == output.event_bus_arn
    error_message = "events are put on the bus that was named, other regions' too"
  }
  assert {
    condition     = length(output.cli.signing.key_ids) == 1
    error_message = "the command learns the key's id"
  }
  assert {
    condition     = local.encoder.scale.min == 3 && local.encoder.scale.max == 5 && local.encoder.scale.cpu_percent == local.services.encoder.scale.cpu_percent
    error_message = "the operator's bounds are taken, and the rest stays"
  }
}

run "a_domain_needs_its_certificate" {
  command = plan
  variables {
    playback_domain = "watch.example.com"
  }
  expect_failures = [var.playback_certificate_arn]
}

run "other_regions_need_the_accelerator" {
  command = plan
  variables {
    edge_regions = { us-east-1 = "arn" }
  }
  expect_failures = [var.edge_regions]
}

run "names_fit_what_is_made_of_them" {
  command = plan
  variables {
    name = "A name that is no name"
  }
  expect_failures = [var.name]
}

run "no_encoder_is_none" {
  command = plan
  variables {
    encoders = { min = 0, max = 5 }
  }
  expect_failures = [var.encoders]
}
