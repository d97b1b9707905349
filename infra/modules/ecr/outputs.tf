output "urls" {
  description = "By service."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}
