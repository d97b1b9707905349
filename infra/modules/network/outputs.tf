output "vpc_id" {
  value = aws_vpc.this.id
}

output "public_subnet_ids" {
  value = [for subnet in aws_subnet.public : subnet.id]
}

output "private_subnet_ids" {
  value = [for subnet in aws_subnet.private : subnet.id]
}

output "security_group_ids" {
  description = "By the names of infra/data/security.json."
  value       = { for name, group in aws_security_group.this : name => group.id }
}
