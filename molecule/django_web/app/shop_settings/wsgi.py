import os
import time

from django.core.wsgi import get_wsgi_application

# Large projects take long to load.
time.sleep(float(os.environ.get("SHOP_LOAD_SECONDS", "0")))
application = get_wsgi_application()
