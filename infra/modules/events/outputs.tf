output "function" {
  value = aws_lambda_function.this.function_name
}
