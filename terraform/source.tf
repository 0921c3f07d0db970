locals {
  source_dir = coalesce(var.source_dir, "${path.module}/..")

  # What runs, and nothing else.
  source_patterns = [
    "main.py",
    "pipeline.py",
    "sync.toml",
    "requirements.txt",
    "core/**/*.py",
    "handlers/**/*.py",
    "mappers/**/*.py",
    "clients/**/*.py",
    "jobs/**/*.py",
  ]

  source_files = toset(flatten([for pattern in local.source_patterns : tolist(fileset(local.source_dir, pattern))]))

  # A sync.toml of your own takes the place of the one in the repository.
  replaced_files = var.sync_config_file == null ? {} : { "sync.toml" = var.sync_config_file }
}

data "archive_file" "source" {
  count = var.image == null ? 1 : 0

  type        = "zip"
  output_path = "${path.module}/source-${var.project_id}-${var.name}.zip" # one each, where there are several syncs

  dynamic "source" {
    for_each = local.source_files

    content {
      filename = source.value
      content  = file(lookup(local.replaced_files, source.value, "${local.source_dir}/${source.value}"))
    }
  }

  lifecycle {
    precondition {
      condition     = contains(local.source_files, "main.py")
      error_message = "There is no main.py in ${local.source_dir}: source_dir must be the root of the repository."
    }
  }
}

resource "google_storage_bucket" "source" {
  count = var.image == null ? 1 : 0

  project  = var.project_id
  name     = "${var.project_id}-${var.name}-source"
  location = var.region
  labels   = var.labels

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # it holds nothing that can't be made again

  depends_on = [google_project_service.required]
}

# The hash in the name has the function built again when, and only when, its source changed.
resource "google_storage_bucket_object" "source" {
  count = var.image == null ? 1 : 0

  name   = "source-${data.archive_file.source[0].output_sha256}.zip"
  bucket = google_storage_bucket.source[0].name
  source = data.archive_file.source[0].output_path
}
