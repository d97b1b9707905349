output "ingest_url" {
  description = "What broadcasters publish to; the stream key comes from `gopcast live create`."
  value       = "rtmps://${var.ingest_domain}/live"
}

output "ingest_target" {
  description = "What `ingest_domain` must lead to, by CNAME, unless `zone_id` made the record."
  value       = module.ingest.dns_name
}

output "playback_base_url" {
  description = "Where viewers connect: the pages, and below it live/NAME/manifest.mpd."
  value       = "https://${var.playback_domain == null ? module.cdn.domain_name : var.playback_domain}"
}

output "playback_target" {
  description = "What `playback_domain` must lead to, by CNAME, unless `zone_id` made the records."
  value       = module.cdn.domain_name
}

output "cli" {
  description = "Settings of the `gopcast` command for this stack: `terraform output -json cli`."
  value = {
    region   = var.region
    rtmps    = "rtmps://${var.ingest_domain}/live"
    http     = "https://${var.playback_domain == null ? module.cdn.domain_name : var.playback_domain}"
    s3       = { bucket = module.storage.bucket }
    dynamodb = { table = module.table.table }
    lambda   = { function = module.gateway.arn }
    ladder   = var.ladder
    signing  = { key_ids = module.cdn.key_ids }
  }
}

output "operator_policy_arn" {
  description = "The policy of those who use the `gopcast` command."
  value       = aws_iam_policy.operator.arn
}

output "repositories" {
  description = "Where `make images` pushes, by service."
  value       = module.ecr.urls
}

output "distribution_id" {
  description = "The CDN's id, for invalidations."
  value       = module.cdn.distribution_id
}

output "edge_region" {
  description = "What infra/edge-region wants to know of this stack: `terraform output -json edge_region`."
  value = {
    name          = var.name
    data_region   = var.region
    bucket        = module.storage.bucket
    function_arn  = module.gateway.arn
    ingest_domain = var.ingest_domain
    image         = "${module.ecr.urls["edge"]}:${var.image_tag}"
    event_bus_arn = local.bus_arn
  }
}

output "balancer_arn" {
  description = "The load balancer of this region's edges."
  value       = module.ingest.balancer_arn
}

output "event_bus_arn" {
  description = "Where events come out: make rules for the source `gopcast` there."
  value       = local.bus_arn
}

output "dashboard" {
  value = module.observability.dashboard
}

output "alarms" {
  description = "Names of all alarms; each says in its description what is wrong."
  value       = module.observability.alarms
}
