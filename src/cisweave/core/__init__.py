"""What every room needs: errors, files, logging, devices, random numbers."""
