variable "repositories" {
  description = "Names of the repositories, by service."
  type        = map(string)
}

variable "images_kept" {
  description = "How many images a repository keeps."
  type        = number
}

variable "force_destroy" {
  description = "Whether `terraform destroy` removes repositories that hold images."
  type        = bool
}
