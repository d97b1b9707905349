output "log_group" {
  value = aws_cloudwatch_log_group.this.name
}

output "service" {
  value = aws_ecs_service.this.name
}
