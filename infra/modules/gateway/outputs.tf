output "arn" {
  value = aws_lambda_function.this.arn
}

output "log_group" {
  value = { name = aws_cloudwatch_log_group.this.name, arn = aws_cloudwatch_log_group.this.arn }
}
