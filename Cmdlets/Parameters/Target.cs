namespace C10kServer.Parameters;

/// <summary>A server to look into, and where an object said so one worker or one connection of it.</summary>
internal readonly record struct Target(Server Server, int? Worker = null, long? Connection = null);
