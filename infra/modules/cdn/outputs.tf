output "distribution_id" {
  value = aws_cloudfront_distribution.this.id
}

output "distribution_arn" {
  value = aws_cloudfront_distribution.this.arn
}

output "domain_name" {
  description = "CloudFront's host name."
  value       = aws_cloudfront_distribution.this.domain_name
}

output "key_ids" {
  description = "Ids of the viewers' public keys, by name: what a signed URL or cookie names."
  value       = { for name, key in aws_cloudfront_public_key.viewers : name => key.id }
}

output "function_code" {
  description = "The viewer-request function, for tests."
  value       = aws_cloudfront_function.request.code
}
