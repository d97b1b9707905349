# Edges of another region: where they send, and that nobody reaches them but through the balancer.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["a", "b", "c"] }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/role" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:group" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:us-east-1:123456789012:function:gopcast-events" }
  }
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/gopcast-ingest/0123456789abcdef" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/gopcast-edge/0123456789abcdef" }
  }
  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/net/gopcast-ingest/0123456789abcdef/0123456789abcdef" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/task:1" }
  }
}

variables {
  region         = "us-east-1"
  events_zip     = "../tests/function.zip"
  tls_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls-AbCdEf"
  stack = {
    name          = "gopcast"
    data_region   = "eu-west-1"
    bucket        = "gopcast-123456789012-eu-west-1"
    function_arn  = "arn:aws:lambda:eu-west-1:123456789012:function:gopcast-gateway"
    ingest_domain = "ingest.example.com"
    image         = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/gopcast/ingest-edge:1.0.0"
    event_bus_arn = "arn:aws:events:eu-west-1:123456789012:event-bus/default"
  }
}

run "edges" {
  assert {
    condition     = local.repository == "gopcast/ingest-edge"
    error_message = "the role may pull from the image's repository"
  }
  assert {
    condition     = sort(keys(module.network.security_group_ids)) == tolist(["balancer", "edge"])
    error_message = "there is nothing but the balancer and the edges"
  }
}

run "the_data_region_has_its_own" {
  command = plan
  variables {
    region = "eu-west-1"
  }
  expect_failures = [var.stack]
}
