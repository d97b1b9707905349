output "table" {
  value = aws_dynamodb_table.this.name
}
