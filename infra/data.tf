# What the rules are, read from data/, and the names that the parts call each other by. Names are made here rather than taken from the
# resources, so that policies can name what does not exist yet.

data "aws_caller_identity" "this" {}

locals {
  account  = data.aws_caller_identity.this.account_id
  data     = "${path.module}/data"
  cdn      = jsondecode(file("${local.data}/cdn.json"))
  network  = jsondecode(file("${local.data}/network.json"))
  security = jsondecode(file("${local.data}/security.json"))
  services = jsondecode(file("${local.data}/services.json"))
  bucket   = jsondecode(file("${local.data}/bucket.json"))
  table    = jsondecode(file("${local.data}/table.json"))
  watched  = jsondecode(file("${local.data}/observability.json"))

  encoder = merge(local.services.encoder, {
    scale = merge(local.services.encoder.scale, var.encoders == null ? {} : var.encoders)
  })

  # Bucket names are world-wide, so it carries account and region.
  bucket_name   = "${var.name}-${local.account}-${var.region}"
  table_name    = var.name
  function_name = "${var.name}-gateway"
  events_name   = "${var.name}-events"
  bus_arn       = "arn:aws:events:${var.region}:${local.account}:event-bus/${var.event_bus}"

  # Of the counters and of the services' own metrics.
  metrics_namespace = "${local.watched.namespace}/${var.name}"

  names = {
    account          = local.account
    region           = var.region
    bucket_arn       = "arn:aws:s3:::${local.bucket_name}"
    table_arn        = "arn:aws:dynamodb:${var.region}:${local.account}:table/${local.table_name}"
    function_arn     = "arn:aws:lambda:${var.region}:${local.account}:function:${local.function_name}"
    tasks_arn        = "arn:aws:ecs:${var.region}:${local.account}:task/${var.name}/*"
    repository_arn   = "arn:aws:ecr:${var.region}:${local.account}:repository/${var.name}"
    log_group_arn    = "arn:aws:logs:${var.region}:${local.account}:log-group:"
    distribution_arn = module.cdn.distribution_arn
  }

  policies = {
    assume_ecs        = templatefile("${local.data}/iam/assume-ecs.json", local.names)
    assume_lambda     = templatefile("${local.data}/iam/assume-lambda.json", local.names)
    edge              = templatefile("${local.data}/iam/edge.json", local.names)
    encoder           = templatefile("${local.data}/iam/encoder.json", local.names)
    operator          = templatefile("${local.data}/iam/operator.json", local.names)
    endpoint_s3       = templatefile("${local.data}/iam/endpoint-s3.json", local.names)
    endpoint_dynamodb = templatefile("${local.data}/iam/endpoint-dynamodb.json", local.names)
    gateway = templatefile("${local.data}/iam/gateway.json", merge(local.names, {
      log_group_arn = "${local.names.log_group_arn}/aws/lambda/${local.function_name}"
    }))
    events = templatefile("${local.data}/iam/events.json", {
      bus_arn       = local.bus_arn
      log_group_arn = "${local.names.log_group_arn}/aws/lambda/${local.events_name}"
    })
    edge_execution = templatefile("${local.data}/iam/execution.json", {
      repository_arn = "${local.names.repository_arn}/ingest-edge"
      log_group_arn  = "${local.names.log_group_arn}/${var.name}/edge"
      secret_arn     = var.tls_secret_arn
    })
    encoder_execution = templatefile("${local.data}/iam/execution.json", {
      repository_arn = "${local.names.repository_arn}/encoder-task"
      log_group_arn  = "${local.names.log_group_arn}/${var.name}/encoder"
      secret_arn     = aws_secretsmanager_secret.hop.arn
    })
  }
}
