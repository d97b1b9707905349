# The gateway function, in the VPC because it speaks to encoders, and its schedule.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.function}"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "this" {
  name               = var.function
  assume_role_policy = var.assume_policy
}

resource "aws_iam_role_policy" "this" {
  name   = "gateway"
  role   = aws_iam_role.this.id
  policy = var.policy
}

resource "aws_lambda_function" "this" {
  function_name                  = var.function
  role                           = aws_iam_role.this.arn
  filename                       = var.zip
  source_code_hash               = filebase64sha256(var.zip)
  runtime                        = var.size.runtime
  handler                        = var.size.handler
  architectures                  = [var.size.architecture]
  memory_size                    = var.size.memory
  timeout                        = var.size.timeout
  reserved_concurrent_executions = var.size.reserved_concurrency

  environment {
    variables = {
      GOPCAST_TABLE      = var.table
      GOPCAST_HOP_SECRET = var.hop_secret
      GOPCAST_LOG        = var.log

      GOPCAST_METRICS_NAMESPACE = var.metrics_namespace
    }
  }

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [var.security_group_id]
  }

  logging_config {
    # Its lines are JSON already; the platform's own stay text.
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_cloudwatch_event_rule" "sweep" {
  name                = "${var.function}-sweep"
  description         = "Finishes broadcasts whose publisher and encoder are both gone"
  schedule_expression = var.size.sweep.schedule
}

resource "aws_cloudwatch_event_target" "sweep" {
  rule  = aws_cloudwatch_event_rule.sweep.name
  arn   = aws_lambda_function.this.arn
  input = jsonencode(var.size.sweep.input)
}

resource "aws_lambda_permission" "sweep" {
  statement_id  = "sweep"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.sweep.arn
}

# A sweep that failed is not tried again: the next one is a minute away.
resource "aws_lambda_function_event_invoke_config" "sweep" {
  function_name                = aws_lambda_function.this.function_name
  maximum_retry_attempts       = var.size.sweep.retries
  maximum_event_age_in_seconds = var.size.sweep.max_age
}
