output "log_group" {
  value = { name = aws_cloudwatch_log_group.this.name, arn = aws_cloudwatch_log_group.this.arn }
}

output "service" {
  value = aws_ecs_service.this.name
}
