variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "rules" {
  description = "What it does by path: infra/data/cdn.json."
  type        = any
}

variable "bucket_domain_name" {
  description = "The bucket's regional host name."
  type        = string
}

variable "origin_shield_region" {
  description = "Where all POPs' requests to the bucket are brought together: the bucket's region, or the nearest that has one."
  type        = string
}

variable "price_class" {
  description = "Which POPs serve."
  type        = string
}

variable "domain" {
  description = "Own host name for viewers; null for CloudFront's."
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "Certificate of `domain` in ACM in us-east-1."
  type        = string
  default     = null
}

variable "viewer_keys" {
  description = "Public keys, PEM, by name, of those who sign viewers' URLs or cookies. With any, unsigned requests for media are refused."
  type        = map(string)
  default     = {}
}
