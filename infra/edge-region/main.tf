# A region that has only edges. They take broadcasters in near where they are, store chunks in the data region's bucket and tell its
# gateway; what their log tells of goes on the data region's event bus; nothing else is here. Apply the root module first, this once for each region, then the root module again with
# `edge_regions = { REGION = balancer_arn }`.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { stack = var.stack.name }
  }
}

data "aws_caller_identity" "this" {}

locals {
  data     = "${path.module}/../data"
  services = jsondecode(file("${local.data}/services.json"))
  name     = var.stack.name
  account  = data.aws_caller_identity.this.account_id

  events_name = "${var.stack.name}-events"

  # Without endpoints: the region's own would lead to its own bucket and functions.
  network = merge(jsondecode(file("${local.data}/network.json")), { gateway_endpoints = [], interface_endpoints = [] })

  repository = regex("^[^:]+", regex("[^/]+/(.+)$", var.stack.image)[0])
}

module "network" {
  source            = "../modules/network"
  name              = local.name
  network           = local.network
  security          = jsondecode(file("${local.data}/security-edge-region.json"))
  endpoint_policies = {}
}

resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}

module "ingest" {
  source        = "../modules/ingest"
  name          = local.name
  role_prefix   = "${local.name}-${var.region}"
  region        = var.region
  vpc_id        = module.network.vpc_id
  cluster_arn   = aws_ecs_cluster.this.arn
  cluster_name  = aws_ecs_cluster.this.name
  image         = var.stack.image
  size          = local.services.edge
  assume_policy = templatefile("${local.data}/iam/assume-ecs.json", { account = local.account })
  task_policy = templatefile("${local.data}/iam/edge.json", {
    bucket_arn   = "arn:aws:s3:::${var.stack.bucket}"
    function_arn = var.stack.function_arn
  })
  execution_policy = templatefile("${local.data}/iam/execution.json", {
    repository_arn = "arn:aws:ecr:${var.stack.data_region}:${local.account}:repository/${local.repository}"
    log_group_arn  = "arn:aws:logs:${var.region}:${local.account}:log-group:/${local.name}/edge"
    secret_arn     = var.tls_secret_arn
  })
  tls_secret_arn             = var.tls_secret_arn
  balancer_subnet_ids        = module.network.public_subnet_ids
  balancer_security_group_id = module.network.security_group_ids["balancer"]
  # The one way to another region's APIs without a NAT gateway. What may come in is the balancer alone.
  task_subnet_ids       = module.network.public_subnet_ids
  security_group_id     = module.network.security_group_ids["edge"]
  assign_public_ip      = true
  accelerator           = false
  accelerator_endpoints = {}
  protect               = !var.disposable
  log_retention_days    = local.services.log_retention_days
  environment = {
    # The data region, where the bucket and the function are.
    AWS_REGION               = var.stack.data_region
    GOPCAST_BUCKET           = var.stack.bucket
    GOPCAST_GATEWAY_FUNCTION = var.stack.function_arn
    GOPCAST_PUBLIC_URL       = "rtmps://${var.stack.ingest_domain}/live"
    GOPCAST_RTMPS_ADDR       = "0.0.0.0:${local.services.edge.port}"
    GOPCAST_LOG              = var.log

    GOPCAST_METRICS_NAMESPACE = "${jsondecode(file("${path.module}/../data/observability.json")).namespace}/${var.stack.name}"
  }
}

# CloudWatch Logs invokes functions of its own region only; this one calls the bus in the data region.
module "events" {
  source        = "../modules/events"
  function      = local.events_name
  role          = "${local.name}-${var.region}-events"
  zip           = var.events_zip
  size          = local.services.events
  bus_arn       = var.stack.event_bus_arn
  stack         = local.name
  account       = local.account
  log           = var.log
  assume_policy = templatefile("${local.data}/iam/assume-lambda.json", {})
  policy = templatefile("${local.data}/iam/events.json", {
    bus_arn       = var.stack.event_bus_arn
    log_group_arn = "arn:aws:logs:${var.region}:${local.account}:log-group:/aws/lambda/${local.events_name}"
  })
  log_groups         = { edge = module.ingest.log_group }
  log_retention_days = local.services.log_retention_days
}
