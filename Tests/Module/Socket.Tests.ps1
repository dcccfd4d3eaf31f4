# Where servers listen: what is refused, sockets that systemd passes, addresses that a network has or has not.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    # A network of its own for a shell: as root, or as root of a user namespace where that is allowed.
    $namespace = foreach ($words in @('-n'), @('-r', '-n')) {
        if (-not (Get-Command unshare -CommandType Application -ErrorAction Ignore) -or -not (Get-Command ip -CommandType Application -ErrorAction Ignore)) { break }
        & unshare @words sh -c 'ip link set lo up && ip addr show dev lo | grep -q ::1 && echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6' 2> $null
        if ($LASTEXITCODE -eq 0) { , $words; break }
    }
    $hasNetwork = $null -ne $namespace
    $hasActivate = $null -ne (Get-Command systemd-socket-activate -CommandType Application -ErrorAction Ignore)
}

BeforeAll {
    $manifest = "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/C10kServer.psd1"
    Import-Module $manifest
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/../Host/TestShell.psm1"
}

Describe 'Start-C10kServer' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
    }

    It 'refuses <Given>, which <Why>' -ForEach @(
        @{ Given = '-KeepAlive 32768'; Why = 'the kernel does not take'; Arguments = @{ KeepAlive = 32768 }; Says = '-KeepAlive: it must be from 0 to 32,767 seconds' }
        @{ Given = '-UserTimeout 25d'; Why = 'the kernel does not take'; Arguments = @{ UserTimeout = '25d' }; Says = '-UserTimeout: it must be from 0 to 2,147,483,647 milliseconds' }
        @{ Given = '-Address fe80::1'; Why = 'names no interface'; Arguments = @{ Address = 'fe80::1' }; Says = 'fe80::1%eth0' }
        @{ Given = '-Address ::ffff:127.0.0.1'; Why = 'is IPv4'; Arguments = @{ Address = '::ffff:127.0.0.1' }; Says = 'Give 127.0.0.1' }
        @{ Given = '-MaxConnectionPerAddress'; Why = 'no client of a path has'; Says = 'no address'
            Arguments = @{ UnixPath = '/tmp/c10k-none.sock'; MaxConnectionPerAddress = 5 } }
    ) {
        $caught = try { Start-C10kServer @Arguments } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'InvalidArgument,C10kServer.Commands.StartC10kServerCommand'
        "$caught" | Should -Match ([regex]::Escape($Says))
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'takes no limit for each address later where no client has one' {
        $folder = [System.IO.Directory]::CreateTempSubdirectory('c10k').FullName
        try {
            $server = Start-C10kServer -UnixPath "$folder/s"
            Set-C10kServer $server.Name -MaxConnectionPerAddress 5 -ErrorAction SilentlyContinue -ErrorVariable problem
            "$problem" | Should -Match 'no address'
            $server.Options.MaxConnectionPerAddress | Should -Be 0
        } finally {
            Get-C10kServer | Stop-C10kServer
            [System.IO.Directory]::Delete($folder, $true)
        }
    }

    It 'leaves the sockets of systemd to the next start after one that failed' -Skip:(-not $hasActivate) {
        $listener = [System.Net.Sockets.TcpListener]::new([ipaddress]::Loopback, 0)
        $listener.Start()
        $port = $listener.LocalEndpoint.Port
        $listener.Stop()
        $shell = Open-TestShell -Under 'systemd-socket-activate', '-l', "127.0.0.1:$port"
        $client = $null
        try {
            # The first client is what starts the shell; it waits in the queue.
            Wait-Until { try { $script:client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $port); $true } catch { $false } }
            $client = $script:client
            $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; 'ready'" -Until 'ready'
            $failed = Invoke-TestShell $shell -Line 'try { Start-C10kServer -SystemdSocket -LogPath /nowhere/at.all } catch { "error $_" }' -Until 'error '
            $failed | Should -Match '/nowhere/at.all'
            Invoke-TestShell $shell -Line '"variables $env:LISTEN_FDS"' -Until 'variables ' | Should -Be '1'
            Invoke-TestShell $shell -Line '$s = Start-C10kServer -SystemdSocket; "port $($s.Port)"' -Until 'port ' | Should -Be $port
            Invoke-TestShell $shell -Line '"variables $env:LISTEN_FDS."' -Until 'variables ' | Should -Be '.'
            $client.GetStream().Write([byte[]](65, 66))
            $client.GetStream().ReadByte() | Should -Be 65
            $again = Invoke-TestShell $shell -Line 'try { Start-C10kServer -SystemdSocket } catch { "error $($_.FullyQualifiedErrorId)" }' -Until 'error '
            $again | Should -BeLike 'NoSystemdSocket,*'
            $null = Invoke-TestShell $shell -Line '$s | Stop-C10kServer; "stopped"' -Until 'stopped'
            $again = Invoke-TestShell $shell -Line 'try { Start-C10kServer -SystemdSocket } catch { "error $($_.FullyQualifiedErrorId)" }' -Until 'error '
            $again | Should -BeLike 'NoSystemdSocket,*'
        } finally {
            if ($client) { $client.Dispose() }
            Close-TestShell $shell
        }
    }
}

Describe 'A machine whose loopback has no ::1' -Skip:(-not $hasNetwork) {
    BeforeAll {
        $words = @('unshare') + $(if ([System.Environment]::UserName -eq 'root') { @('-n') } else { @('-r', '-n') })
        $setUp = 'ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6; exec "$@"'
        $shell = Open-TestShell -Under ($words + 'sh', '-c', $setUp, 'sh')
        $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; 'ready'" -Until 'ready'
    }

    AfterAll {
        Close-TestShell $shell
    }

    It 'tests and loads a server on :: -DualMode at 127.0.0.1' {
        $null = Invoke-TestShell $shell -Line '$s = Start-C10kServer dual -Address :: -DualMode; "started"' -Until 'started'
        Invoke-TestShell $shell -Line '"test $(Test-C10kServer dual)"' -Until 'test ' | Should -Be 'True'
        Invoke-TestShell $shell -Line '"load $(($s | Invoke-C10kLoad -Connection 2 -Count 10).Requests)"' -Until 'load ' | Should -Be '10'
        Invoke-TestShell $shell -Line '"load $((Invoke-C10kLoad -Port $s.Port -Address :: -Connection 2 -Count 10).Requests)"' -Until 'load ' | Should -Be '10'
        $null = Invoke-TestShell $shell -Line '$s | Stop-C10kServer; "stopped"' -Until 'stopped'
    }

    It 'says of a server on :: alone that it is found nowhere' {
        $null = Invoke-TestShell $shell -Line '$s = Start-C10kServer six -Address ::; "started"' -Until 'started'
        Invoke-TestShell $shell -Line '"test $(Test-C10kServer six -Verbose 4>&1)"' -Until 'test ' | Should -Match 'no IPv6 address.*False'
        $load = Invoke-TestShell $shell -Line 'try { $s | Invoke-C10kLoad -Connection 1 -Count 1 -ErrorAction Stop } catch { "error $_" }' -Until 'error '
        $load | Should -Match 'no IPv6 address'
        $null = Invoke-TestShell $shell -Line '$s | Stop-C10kServer; "stopped"' -Until 'stopped'
    }
}

Describe 'A link-local address' -Skip:(-not $hasNetwork) {
    BeforeAll {
        $words = @('unshare') + $(if ([System.Environment]::UserName -eq 'root') { @('-n') } else { @('-r', '-n') })
        $setUp = 'ip link set lo up; ip -6 addr add fe80::1/64 dev lo nodad; exec "$@"'
        $shell = Open-TestShell -Under ($words + 'sh', '-c', $setUp, 'sh')
        $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; 'ready'" -Until 'ready'
    }

    AfterAll {
        Close-TestShell $shell
    }

    It 'of one interface is not taken for that of another by -RemoteAddress' {
        $null = Invoke-TestShell $shell -Line '$s = Start-C10kServer -Address fe80::1%lo; "started"' -Until 'started'
        $line = '$c = [System.Net.Sockets.TcpClient]::new([System.Net.Sockets.AddressFamily]::InterNetworkV6); $c.Connect([ipaddress]::Parse("fe80::1%1"), $s.Port); "connected"'
        $null = Invoke-TestShell $shell -Line $line -Until 'connected'
        $line = 'while ($s.ConnectionCount -ne 1) { Start-Sleep -Milliseconds 5 }; "peer $((Get-C10kConnection).RemoteAddress)"'
        Invoke-TestShell $shell -Line $line -Until 'peer ' | Should -Be 'fe80::1%1'
        foreach ($case in @{ Filter = 'fe80::1%1'; Count = 1 }, @{ Filter = 'fe80::1'; Count = 1 }, @{ Filter = 'fe80::%1/64'; Count = 1 },
            @{ Filter = 'fe80::/10'; Count = 1 }, @{ Filter = 'fe80::1%2'; Count = 0 }, @{ Filter = 'fe80::%2/64'; Count = 0 }) {
            $line = "`"count `$(@(Get-C10kConnection -RemoteAddress '$($case.Filter)').Count)`""
            Invoke-TestShell $shell -Line $line -Until 'count ' | Should -Be $case.Count -Because $case.Filter
        }

        $null = Invoke-TestShell $shell -Line '$c.Dispose(); $s | Stop-C10kServer; "stopped"' -Until 'stopped'
    }

    It 'with its interface is loaded' {
        $null = Invoke-TestShell $shell -Line '$s = Start-C10kServer -Address fe80::1%lo; "started"' -Until 'started'
        Invoke-TestShell $shell -Line '"load $(($s | Invoke-C10kLoad -Connection 2 -Count 10).Requests)"' -Until 'load ' | Should -Be '10'
        Invoke-TestShell $shell -Line 'try { Invoke-C10kLoad -Port 7 -Address fe80::1 } catch { "error $_" }' -Until 'error ' | Should -Match '^-Address: .*fe80::1%eth0'
        $null = Invoke-TestShell $shell -Line '$s | Stop-C10kServer; "stopped"' -Until 'stopped'
    }
}
