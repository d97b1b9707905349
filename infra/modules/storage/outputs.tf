output "bucket" {
  value = aws_s3_bucket.this.bucket
}

output "domain_name" {
  description = "The origin's host name."
  value       = aws_s3_bucket.this.bucket_regional_domain_name
}
