enum CopyDirection { case toHost, toDevice }
