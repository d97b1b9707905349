output "balancer_arn" {
  description = "For `edge_regions` of the root module."
  value       = module.ingest.balancer_arn
}
