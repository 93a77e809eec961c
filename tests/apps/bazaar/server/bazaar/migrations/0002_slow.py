from django.db import migrations


class Migration(migrations.Migration):
    """Stands for the rewrite of a large table."""

    dependencies = (("bazaar", "0001_initial"),)
    operations = (migrations.RunSQL("SELECT pg_sleep(4)", migrations.RunSQL.noop),)
