namespace C10kServer.Parameters;

/// <summary>A server to look into. If a user's object named one worker or one connection, the cmdlet looks at that one only.</summary>
internal readonly record struct Target(Server Server, int? Worker = null, long? Connection = null);
