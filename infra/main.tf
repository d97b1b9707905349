# A gopcast stack. What it is made of is in modules/, its rules and sizes are in data/.

module "network" {
  source   = "./modules/network"
  name     = var.name
  network  = local.network
  security = local.security
  endpoint_policies = {
    s3       = local.policies.endpoint_s3
    dynamodb = local.policies.endpoint_dynamodb
  }
}

module "storage" {
  source        = "./modules/storage"
  bucket        = local.bucket_name
  rules         = local.bucket
  cors          = local.cdn.headers[local.bucket.cors_headers].cors
  policy        = templatefile("${local.data}/bucket-policy.json", local.names)
  force_destroy = var.disposable
}

module "table" {
  source  = "./modules/table"
  table   = local.table_name
  rules   = local.table
  protect = !var.disposable
}

module "cdn" {
  source               = "./modules/cdn"
  name                 = var.name
  rules                = local.cdn
  bucket_domain_name   = module.storage.domain_name
  origin_shield_region = coalesce(var.origin_shield_region, var.region)
  price_class          = var.price_class
  domain               = var.playback_domain
  certificate_arn      = var.playback_certificate_arn
  viewer_keys          = var.viewer_keys
}

module "ecr" {
  source        = "./modules/ecr"
  repositories  = { edge = "${var.name}/ingest-edge", encoder = "${var.name}/encoder-task" }
  images_kept   = local.services.images_kept
  force_destroy = var.disposable
}

# What the gateway and the encoders sign the private hop with. Made once; a value that is put in later stays.
data "aws_secretsmanager_random_password" "hop" {
  password_length     = 64
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "hop" {
  name                    = "${var.name}/hop"
  description             = "Signs the private hop from the gateway to the encoders"
  recovery_window_in_days = var.disposable ? 0 : 30
}

resource "aws_secretsmanager_secret_version" "hop" {
  secret_id     = aws_secretsmanager_secret.hop.id
  secret_string = data.aws_secretsmanager_random_password.hop.random_password

  lifecycle {
    ignore_changes = [secret_string]
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

module "gateway" {
  source             = "./modules/gateway"
  function           = local.function_name
  zip                = var.gateway_zip
  size               = local.services.gateway
  table              = module.table.table
  hop_secret         = aws_secretsmanager_secret_version.hop.secret_string
  log                = var.log
  metrics_namespace  = local.metrics_namespace
  assume_policy      = local.policies.assume_lambda
  policy             = local.policies.gateway
  subnet_ids         = module.network.private_subnet_ids
  security_group_id  = module.network.security_group_ids["gateway"]
  log_retention_days = local.services.log_retention_days
}

module "encoders" {
  source             = "./modules/encoders"
  name               = var.name
  region             = var.region
  cluster_arn        = aws_ecs_cluster.this.arn
  cluster_name       = aws_ecs_cluster_capacity_providers.this.cluster_name
  image              = "${module.ecr.urls["encoder"]}:${var.image_tag}"
  size               = local.encoder
  hop_secret_arn     = aws_secretsmanager_secret_version.hop.secret_id
  assume_policy      = local.policies.assume_ecs
  task_policy        = local.policies.encoder
  execution_policy   = local.policies.encoder_execution
  subnet_ids         = module.network.private_subnet_ids
  security_group_id  = module.network.security_group_ids["encoder"]
  log_retention_days = local.services.log_retention_days
  environment = {
    AWS_REGION               = var.region
    GOPCAST_BUCKET           = module.storage.bucket
    GOPCAST_TABLE            = module.table.table
    GOPCAST_GATEWAY_FUNCTION = module.gateway.arn
    GOPCAST_HTTP_ADDR        = "0.0.0.0:${local.encoder.port}"
    GOPCAST_LOG              = var.log

    GOPCAST_METRICS_NAMESPACE = local.metrics_namespace
  }
}

module "ingest" {
  source                     = "./modules/ingest"
  name                       = var.name
  role_prefix                = var.name
  region                     = var.region
  vpc_id                     = module.network.vpc_id
  cluster_arn                = aws_ecs_cluster.this.arn
  cluster_name               = aws_ecs_cluster_capacity_providers.this.cluster_name
  image                      = "${module.ecr.urls["edge"]}:${var.image_tag}"
  size                       = local.services.edge
  tls_secret_arn             = var.tls_secret_arn
  assume_policy              = local.policies.assume_ecs
  task_policy                = local.policies.edge
  execution_policy           = local.policies.edge_execution
  balancer_subnet_ids        = module.network.public_subnet_ids
  balancer_security_group_id = module.network.security_group_ids["balancer"]
  task_subnet_ids            = module.network.private_subnet_ids
  security_group_id          = module.network.security_group_ids["edge"]
  assign_public_ip           = false
  accelerator                = var.accelerator
  accelerator_endpoints      = var.edge_regions
  protect                    = !var.disposable
  log_retention_days         = local.services.log_retention_days
  environment = {
    AWS_REGION               = var.region
    GOPCAST_BUCKET           = module.storage.bucket
    GOPCAST_GATEWAY_FUNCTION = module.gateway.arn
    GOPCAST_PUBLIC_URL       = "rtmps://${var.ingest_domain}/live"
    GOPCAST_RTMPS_ADDR       = "0.0.0.0:${local.services.edge.port}"
    GOPCAST_LOG              = var.log

    GOPCAST_METRICS_NAMESPACE = local.metrics_namespace
  }
}

module "events" {
  source        = "./modules/events"
  function      = local.events_name
  role          = local.events_name
  zip           = var.events_zip
  size          = local.services.events
  bus_arn       = local.bus_arn
  stack         = var.name
  account       = local.account
  log           = var.log
  assume_policy = local.policies.assume_lambda
  policy        = local.policies.events
  log_groups = {
    edge    = module.ingest.log_group
    gateway = module.gateway.log_group
    encoder = module.encoders.log_group
  }
  log_retention_days = local.services.log_retention_days
}

module "observability" {
  source           = "./modules/observability"
  name             = var.name
  region           = var.region
  watched          = local.watched
  alarm_topics     = var.alarm_topics
  cdn_alarm_topics = var.cdn_alarm_topics
  log_groups = {
    edge    = module.ingest.log_group.name
    gateway = module.gateway.log_group.name
    encoder = module.encoders.log_group.name
  }
  dimensions = {
    balancer     = { LoadBalancer = module.ingest.balancer_arn_suffix, TargetGroup = module.ingest.target_group_arn_suffix }
    flows        = { LoadBalancer = module.ingest.balancer_arn_suffix }
    function     = { FunctionName = local.function_name }
    events       = { FunctionName = module.events.function }
    table        = { TableName = local.table_name }
    encoders     = { ClusterName = var.name, ServiceName = module.encoders.service }
    edges        = { ClusterName = var.name, ServiceName = module.ingest.service }
    distribution = { DistributionId = module.cdn.distribution_id, Region = "Global" }
    # Of what the services write themselves (docs/METRICS.md).
    edge_metrics    = { Service = "edge" }
    gateway_metrics = { Service = "gateway" }
    encoder_metrics = { Service = "encoder" }
  }
  providers = {
    aws           = aws
    aws.us_east_1 = aws.us_east_1
  }
}

# What the `gopcast` command may do: attach it to whoever uses it.
resource "aws_iam_policy" "operator" {
  name        = "${var.name}-operator"
  description = "What the gopcast command needs"
  policy      = local.policies.operator
}

resource "aws_route53_record" "ingest" {
  count   = var.zone_id == null ? 0 : 1
  zone_id = var.zone_id
  name    = var.ingest_domain
  type    = "A"

  alias {
    name                   = module.ingest.dns_name
    zone_id                = module.ingest.dns_zone_id
    evaluate_target_health = false
  }
}

resource "aws_route53_record" "playback" {
  for_each = var.zone_id == null || var.playback_domain == null ? toset([]) : toset(["A", "AAAA"])
  zone_id  = var.zone_id
  name     = var.playback_domain
  type     = each.key

  alias {
    name = module.cdn.domain_name
    # CloudFront's own zone, the same for every distribution.
    zone_id                = "Z2FDTNDATAQYW2"
    evaluate_target_health = false
  }
}
