variable "bucket" {
  description = "The bucket's name."
  type        = string
}

variable "rules" {
  description = "Lifecycle: infra/data/bucket.json."
  type        = any
}

variable "cors" {
  description = "Cross-origin sharing, as a header policy of infra/data/cdn.json has it."
  type        = any
}

variable "policy" {
  description = "The bucket policy, JSON."
  type        = string
}

variable "force_destroy" {
  description = "Whether `terraform destroy` removes a bucket that holds objects, and with them every replay."
  type        = bool
  default     = false
}
