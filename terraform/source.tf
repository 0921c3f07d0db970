locals {
  source_dir = coalesce(var.source_dir, "${path.module}/..")

  # Only the files that the function and the jobs need at run time.
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

  # sync_config_file replaces the repository's sync.toml.
  replaced_files = var.sync_config_file == null ? {} : { "sync.toml" = var.sync_config_file }
}

data "archive_file" "source" {
  count = var.image == null ? 1 : 0

  type        = "zip"
  output_path = "${path.module}/source-${var.project_id}-${var.name}.zip" # a file per project and sync, as several may share this folder

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
  force_destroy               = true # the archive can always be built again

  depends_on = [google_project_service.required]
}

# The name contains a hash of the source, so the function is rebuilt if and only if its source changed.
resource "google_storage_bucket_object" "source" {
  count = var.image == null ? 1 : 0

  name   = "source-${data.archive_file.source[0].output_sha256}.zip"
  bucket = google_storage_bucket.source[0].name
  source = data.archive_file.source[0].output_path
}
