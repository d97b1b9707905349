output "balancer_arn" {
  value = aws_lb.this.arn
}

output "balancer_arn_suffix" {
  value = aws_lb.this.arn_suffix
}

output "target_group_arn_suffix" {
  value = aws_lb_target_group.edge.arn_suffix
}

output "service" {
  value = aws_ecs_service.this.name
}

output "log_group" {
  value = { name = aws_cloudwatch_log_group.this.name, arn = aws_cloudwatch_log_group.this.arn }
}

output "dns_name" {
  description = "What the ingest domain's CNAME or alias record points to."
  value       = var.accelerator ? aws_globalaccelerator_accelerator.this[0].dns_name : aws_lb.this.dns_name
}

output "dns_zone_id" {
  description = "The zone of `dns_name`, for an alias record."
  value       = var.accelerator ? aws_globalaccelerator_accelerator.this[0].hosted_zone_id : aws_lb.this.zone_id
}
